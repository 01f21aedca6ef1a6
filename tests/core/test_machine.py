"""The whole life of tokens, driven at random, against a model in plain Python (`model.py`)."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test

from service.core.errors import REFUSALS, Forbidden, Refusal, Unknown
from service.core.store import Filter
from service.core.token import ACTIVE, Change, Draft, Token
from tests import leaks
from tests.backends import Backend
from tests.core.model import PURGED, One, matches
from tests.world import World

T = TypeVar("T")
HOUR = 3_600_000
OVERLAP = 600_000
A_WHILE = 5_000  # ms; what a step may take
EXAMPLES = {"fakeredis": 20, "valkey": 50, "redis": 50}

owners, tenants, types = st.sampled_from(["ann", "bob"]), st.sampled_from(["shop", "bank"]), st.sampled_from("ab")
scopes = st.sampled_from([(), ("read",), ("read", "write")])
lives = st.sampled_from([HOUR, 24 * HOUR, None])
states = st.sampled_from([(), (), ("active",), ("expired",), ("revoked", "consumed")])


class Lives(RuleBasedStateMachine):
    """`backend` is set by the test."""

    backend: Backend
    made = Bundle("made")

    def __init__(self) -> None:
        super().__init__()
        with self.backend.plain() as store:
            store.flushall()
        self.loop = asyncio.new_event_loop()
        self.world = World(self.backend, partitions=3)  # few, so that owners share them
        self.all: dict[str, One] = {}
        self.run(self.world.__aenter__())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def refusal(self, work: Coroutine[Any, Any, object]) -> Refusal:
        with pytest.raises(Refusal) as refused:
            self.run(work)
        return refused.value

    def alive(self, one: One, work: Coroutine[Any, Any, T]) -> T | None:
        """The answer about a live token; of any other, its refusal is the right one, with the right evidence."""
        if one.seen == ACTIVE:
            return self.run(work)
        refused = self.refusal(work)
        assert isinstance(refused, Unknown if one.seen == PURGED else REFUSALS[one.seen])
        moment = {"expired_at_ms", "ended_at_ms"} & refused.evidence.keys()
        if one.ended_at is not None and moment:
            assert refused.evidence[moment.pop()] == one.ended_at
        return None

    def agree(self, one: One, token: Token) -> None:
        assert token.id == one.id
        assert token.state == one.seen
        assert (token.tenant, token.owner, token.type) == (one.tenant, one.owner, one.type)
        assert (token.uses, token.max_uses, token.scopes) == (one.uses, one.most, one.scopes)
        assert (token.life_ms, token.ceiling_at_ms, token.description) == (one.life, one.ceiling, one.description)
        assert token.deadline_at_ms == one.deadline
        assert (token.remaining_ms is None) == (one.deadline is None and one.seen == ACTIVE)
        assert (token.remaining_ms == 0) == (one.seen != ACTIVE)
        if one.seen != ACTIVE:
            assert token.ended_at_ms is not None
            one.ended_at = one.ended_at or token.ended_at_ms
            assert token.ended_at_ms == one.ended_at

    def remember(self, token: Token, text: str) -> str:
        self.all[token.id] = One(
            token.id, text, token.place, token.tenant, token.owner, token.type, token.life_ms, token.ceiling_at_ms,
            token.deadline_at_ms, token.max_uses, token.sliding, token.scopes, token.uses, token.description,
        )  # fmt: skip
        return token.id

    @initialize()
    def reader(self) -> None:
        self.caller = self.run(self.world.caller("admin", tenant="office"))

    @rule(
        target=made, owner=owners, tenant=tenants, type_=types, life=lives, ceiling=st.sampled_from([None, 2 * HOUR]),
        uses=st.sampled_from([None, None, 1, 2]), sliding=st.booleans(), scopes=scopes,
    )  # fmt: skip
    def issue(
        self, owner: str, tenant: str, type_: str, life: int | None, ceiling: int | None, uses: int | None,
        sliding: bool, scopes: tuple[str, ...],
    ) -> str:  # fmt: skip
        draft = Draft(owner=owner, tenant=tenant, type=type_, life_ms=life, ceiling_ms=ceiling, uses=uses,
                      sliding=sliding, scopes=scopes)  # fmt: skip
        issued = self.run(self.world.tokens.issue(draft))
        token = issued.token
        ends = [token.created_at_ms + each for each in (life, ceiling) if each is not None]
        assert token.deadline_at_ms == min(ends, default=None)
        assert token.ceiling_at_ms == (ceiling and token.created_at_ms + ceiling)
        return self.remember(token, issued.text)

    @rule(id_=made, asked=scopes)
    def use(self, id_: str, asked: tuple[str, ...]) -> None:
        one = self.all[id_]
        work = self.world.tokens.use(one.text, scopes=asked)
        if one.seen == ACTIVE and not set(asked) <= set(one.scopes):
            assert isinstance(self.refusal(work), Forbidden)
        elif token := self.alive(one, work):
            one.use(token.last_used_at_ms)
            self.agree(one, token)

    @rule(id_=made)
    def peek(self, id_: str) -> None:
        one = self.all[id_]
        if token := self.alive(one, self.world.tokens.peek(one.text)):
            self.agree(one, token)

    @rule(id_=made)
    def look(self, id_: str) -> None:
        one, work = self.all[id_], self.world.tokens.look(id_, self.caller)
        if one.state == PURGED:
            assert isinstance(self.refusal(work), Unknown)
        else:
            self.agree(one, self.run(work))

    @rule(id_=made)
    def renew(self, id_: str) -> None:
        one = self.all[id_]
        before = self.run(self.world.now())
        if token := self.alive(one, self.world.tokens.renew(one.text)):
            earliest, latest = one.renewed(before), one.renewed(self.run(self.world.now()))
            if token.deadline_at_ms is not None:
                assert (earliest or 0) <= token.deadline_at_ms <= (latest or 0)
            one.renew(before)
            one.deadline = token.deadline_at_ms
            self.agree(one, token)

    @rule(target=made, id_=made, overlap=st.sampled_from([0, OVERLAP]))
    def rotate(self, id_: str, overlap: int) -> Any:
        one = self.all[id_]
        work = self.world.tokens.rotate(one.text, overlap_ms=overlap)
        known = one.successor and self.all[one.successor]
        if one.seen == ACTIVE and known and known.state == PURGED:
            assert isinstance(self.refusal(work), Unknown)
            return id_
        issued = self.alive(one, work)
        if issued is None:
            return id_
        if known:
            assert issued.text == known.text
            self.agree(known, issued.token)
            return known.id
        one.rotate(issued.token.id, self.end_of(one, overlap), at_once=overlap == 0)
        self.look(id_)
        assert (issued.token.uses, issued.token.rotated_from) == (one.uses, id_)
        return self.remember(issued.token, issued.text)

    @rule(target=made, number=st.integers(0, 99), overlap=st.sampled_from([0, OVERLAP, OVERLAP, 30 * HOUR]))
    def rotate_one_that_lives(self, number: int, overlap: int) -> Any:
        """Most tokens of a run have ended soon, and only a living one is rotated."""
        living = self.living()
        return self.rotate(living[number % len(living)].id, overlap) if living else multiple()

    def living(self) -> list[One]:
        return [one for one in self.all.values() if one.seen == ACTIVE]

    def end_of(self, one: One, overlap: int) -> int:
        """When the rotated text ends: the model has no clock, so it is asked, and then held against what it may be."""
        now, seen = self.run(self.world.now()), self.run(self.world.tokens.look(one.id, self.caller))
        ends = seen.ceiling_at_ms
        assert ends is not None
        assert ends == one.deadline or now - A_WHILE <= ends - overlap <= now
        assert one.deadline is None or ends <= one.deadline
        return ends

    @rule(id_=made, by_handle=st.booleans())
    def revoke(self, id_: str, by_handle: bool) -> None:
        one, tokens = self.all[id_], self.world.tokens
        work = tokens.revoke_by_id(id_, self.caller) if by_handle else tokens.revoke(one.text)
        if one.state == PURGED:
            assert isinstance(self.refusal(work), Unknown)
        else:
            one.end_now()
            self.agree(one, self.run(work))

    @rule(owner=owners, tenant=tenants, type_=st.sampled_from([None, "a"]), spared=made, dry=st.booleans())
    def revoke_owner(self, owner: str, tenant: str, type_: str | None, spared: str, dry: bool) -> None:
        which = {"owner": owner, "tenant": tenant, "state": ACTIVE} | ({"type": type_} if type_ else {})
        hit = [one for one in self.all.values() if matches(one, which) and one.id != spared]
        work = self.world.store.revoke_owner(tenant, owner, type_, "owner", [spared], 100, dry=dry)
        expected = sum(not one.lapsed for one in hit)
        assert self.run(work) == (expected, False)
        for one in hit:
            _ = dry or one.end_now()

    @rule(number=st.integers(0, 99), rotated=st.booleans())
    def an_hour_passes_for_one_that_lives(self, number: int, rotated: bool) -> None:
        mortal = [one for one in self.living() if one.deadline is not None]
        chosen = [one for one in mortal if one.successor] if rotated else mortal
        if chosen:
            one = chosen[number % len(chosen)]
            one.lapse(self.run(self.world.expire_now(one.id)))

    @rule(number=st.integers(0, 99))
    def a_sweep_looks_at_one_that_lives(self, number: int) -> None:
        """It was renewed since its place in `due` was written."""
        mortal = [one for one in self.living() if one.deadline is not None]
        if mortal:
            self.run(self.world.make_due(mortal[number % len(mortal)].id))
            self.sweep()

    @rule()
    def sweep(self) -> None:
        lapsed = [one for one in self.all.values() if one.lapsed]
        assert self.run(self.world.sweep()).marked == len(lapsed)
        for one in lapsed:
            one.mark()

    @rule(id_=made)
    def a_day_passes_for(self, id_: str) -> None:
        one = self.all[id_]
        if one.state in {ACTIVE, PURGED}:
            return
        self.run(self.world.pass_retention(id_))
        one.state = PURGED
        self.sweep()

    @rule(
        id_=made, life=st.sampled_from([None, HOUR // 2, 24 * HOUR]), scopes=scopes, words=st.sampled_from([None, "x"])
    )
    def amend(self, id_: str, life: int | None, scopes: tuple[str, ...], words: str | None) -> None:
        one = self.all[id_]
        before = self.run(self.world.now())
        change = Change(description=words, scopes=scopes) if life is None else Change(
            description=words, scopes=scopes, life_ms=life)  # fmt: skip
        token = self.alive(one, self.world.tokens.amend(id_, change, self.caller))
        if token is None:
            return
        one.description, one.scopes, one.life = words, scopes, life or one.life
        if one.life is not None and token.deadline_at_ms != one.deadline:
            assert token.deadline_at_ms is not None
            assert before <= token.deadline_at_ms - one.life <= self.run(self.world.now())
            assert one.deadline is None or token.deadline_at_ms < one.deadline
            one.deadline = token.deadline_at_ms
        self.agree(one, token)

    @rule(
        tenant=tenants, owner=st.sampled_from([None, "ann"]), type_=st.sampled_from([None, "a"]), states=states,
        limit=st.sampled_from([1, 3, 100]), descending=st.booleans(),
    )  # fmt: skip
    def pages(
        self, tenant: str, owner: str | None, type_: str | None, states: tuple[str, ...], limit: int, descending: bool
    ) -> None:
        which = Filter(tenant=tenant, owner=owner, type=type_, states=states)
        expected = sorted((one for one in self.of(tenant, owner, type_) if is_listed(one, states)),
                          key=lambda one: one.place, reverse=descending)  # fmt: skip
        page = self.run(self.world.lists.page(which, limit=limit, cursor=None, descending=descending))
        found = [(token.id, token.state) for token in page.items]
        while page.next:
            page = self.run(self.world.lists.page(which, limit=limit, cursor=page.next, descending=descending))
            found += [(token.id, token.state) for token in page.items]
        assert found == [(one.id, one.seen) for one in expected]

    @rule(tenant=tenants, owner=st.sampled_from([None, "ann"]))
    def count(self, tenant: str, owner: str | None) -> None:
        expected = Counter((one.type, one.state) for one in self.of(tenant, owner, None))
        found = self.run(self.world.lists.count(Filter(tenant=tenant, owner=owner)))
        assert {key: number for key, number in found.items() if number} == expected

    @rule()
    def events(self) -> None:
        stories: dict[str, list[str]] = {}
        for event in self.run(self.world.events()):
            if event.token.tenant in {"shop", "bank"}:
                stories.setdefault(event.token.id, []).append(event.kind)
        assert stories == {one.id: one.story for one in self.all.values()}

    def of(self, tenant: str, owner: str | None, type_: str | None) -> list[One]:
        which = {"tenant": tenant} | ({"owner": owner} if owner else {}) | ({"type": type_} if type_ else {})
        return [one for one in self.all.values() if matches(one, which) and one.state != PURGED]

    def teardown(self) -> None:
        self.run(self.world.__aexit__())
        self.loop.close()
        with self.backend.plain() as store:
            leaks.check(store)


def is_listed(one: One, states: tuple[str, ...]) -> bool:
    """Until it is marked, a lapsed token stands in the list of the active, and is passed over there."""
    return not states or {one.state, one.seen} <= set(states)


@pytest.fixture
def backend(backend: Backend) -> Backend:
    backend.checked = False  # after each example, by the machine itself
    return backend


@pytest.mark.timeout(600)  # once it fails, a shorter story of the failure is looked for, which may take 300 s
def test_the_whole_life_of_tokens_is_what_a_plain_model_says(backend: Backend, seed: int) -> None:
    @hypothesis.seed(seed)
    class Run(Lives):
        pass

    Run.backend = backend
    limits = settings(
        max_examples=EXAMPLES[backend.name],
        stateful_step_count=40,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(Run, settings=limits)
