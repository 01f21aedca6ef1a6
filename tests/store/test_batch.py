"""Requests that arrive while a round trip is under way share the next one, and nobody gets another's answer."""

import asyncio
from collections.abc import Callable

import pytest

from service.core.errors import Consumed, Unavailable
from service.store.batch import ENOUGH, LIMIT, Answer, Batch, Question
from tests import backends
from tests.servers import wait_until
from tests.world import World

ENOUGH_S = 30.0


class Line:
    """The other end: keeps each call until it is let go, and answers a question with the question."""

    def __init__(self, answer: Callable[[str, int], Answer] = lambda question, _: ("ok", 1, question.encode())) -> None:
        self.calls: list[list[tuple[str, int]]] = []
        self.errors: list[Exception] = []
        self._answer, self._free = answer, asyncio.Event()

    async def send(self, questions: list[tuple[Question, int]]) -> list[Answer]:
        self.calls.append([(whom, count) for (_, whom), count in questions])
        await self._free.wait()
        if self.errors:
            raise self.errors.pop()
        return [self._answer(whom, count) for (_, whom), count in questions]

    def let_go(self) -> None:
        self._free.set()

    async def under_way(self, number: int = 1) -> None:
        await wait_until(lambda: len(self.calls) == number)


def ask(batch: Batch, whom: str) -> asyncio.Future[Answer]:
    return batch.ask(("use - -", whom))


async def test_what_arrives_during_a_call_shares_the_next() -> None:
    line = Line()
    batch = Batch(line.send, ENOUGH_S)
    first = ask(batch, "first")
    await line.under_way()

    others = [ask(batch, f"other {number}") for number in range(10)]
    line.let_go()
    answers = await asyncio.gather(first, *others)

    assert [len(call) for call in line.calls] == [1, 10]
    assert [found.decode() for _, _, found in answers] == ["first", *(f"other {number}" for number in range(10))]


async def test_equal_questions_are_sent_once_with_a_count() -> None:
    line = Line()
    batch = Batch(line.send, ENOUGH_S)

    answers = [ask(batch, question) for question in ("a", "b", "a", "a")]
    line.let_go()

    assert [found for _, _, found in await asyncio.gather(*answers)] == [b"a", b"b", b"a", b"a"]
    assert line.calls == [[("a", 3), ("b", 1)]]


async def test_the_uses_that_are_left_are_shared_out_to_those_who_came_first() -> None:
    line = Line(lambda question, _: ("ok 2", 1, question.encode()))
    batch = Batch(line.send, ENOUGH_S)

    answers = [ask(batch, "a") for _ in range(4)]
    line.let_go()

    assert [word for word, _, _ in await asyncio.gather(*answers)] == ["ok", "ok", "consumed", "consumed"]


async def test_a_caller_that_gives_up_loses_its_own_answer_only() -> None:
    line = Line()
    batch = Batch(line.send, ENOUGH_S)
    alone = ask(batch, "alone")
    impatient, patient = ask(batch, "shared"), ask(batch, "shared")
    await line.under_way()

    alone.cancel()
    impatient.cancel()
    line.let_go()

    assert (await patient)[2] == b"shared"
    assert (await ask(batch, "next"))[2] == b"next"


async def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    """A use that its caller was told had failed would renew, or spend, behind its back."""
    line = Line()
    batch = Batch(line.send, ENOUGH_S)
    ask(batch, "first")
    await line.under_way()
    given_up, kept, shared = ask(batch, "given up"), ask(batch, "kept"), ask(batch, "kept")

    given_up.cancel()
    shared.cancel()
    line.let_go()
    await kept

    assert line.calls[1:] == [[("kept", 1)]]


async def test_more_questions_than_a_call_may_carry_are_split() -> None:
    line = Line()
    sizes: list[int] = []
    batch = Batch(line.send, ENOUGH_S, sizes.append)

    answers = [ask(batch, str(number)) for number in range(2 * LIMIT + 1)]
    line.let_go()

    assert [found for _, _, found in await asyncio.gather(*answers)] == [b"%d" % n for n in range(2 * LIMIT + 1)]
    assert sizes == [len(call) for call in line.calls] == [ENOUGH, ENOUGH, LIMIT, LIMIT + 1 - 2 * ENOUGH]


async def test_a_call_that_fails_fails_its_own_callers() -> None:
    line = Line()
    line.errors = [Unavailable("ConnectionError")]
    batch = Batch(line.send, ENOUGH_S)
    lost = ask(batch, "lost")
    await line.under_way()
    kept = ask(batch, "kept")

    line.let_go()

    with pytest.raises(Unavailable):
        await lost
    assert (await kept)[2] == b"kept"


async def test_answers_that_do_not_fit_the_questions_are_nobodys() -> None:
    """Were they dealt out in order, somebody would be taken for somebody else."""
    replies: list[list[Answer]] = [[("ok", 1, b"a")], [("ok", 1, b"c"), ("ok", 1, b"d")]]

    async def send(_questions: list[tuple[Question, int]]) -> list[Answer]:
        return replies.pop(0)

    batch = Batch(send, ENOUGH_S)

    short = await asyncio.gather(ask(batch, "a"), ask(batch, "b"), return_exceptions=True)
    long = await asyncio.gather(ask(batch, "c"), return_exceptions=True)

    assert [type(answer) for answer in (*short, *long)] == [ValueError] * 3


async def test_nobody_waits_longer_than_the_timeout() -> None:
    line = Line()
    batch = Batch(line.send, 0.05)
    first = ask(batch, "first")
    await line.under_way()
    second = ask(batch, "second")

    answers = await asyncio.gather(first, second, return_exceptions=True)
    line.let_go()

    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    assert (await ask(batch, "third"))[2] == b"third"


async def test_after_a_silence_there_is_no_remainder_that_new_callers_would_join() -> None:
    """More waited than the calls under way carry, and all of them were told that the store does not answer."""
    line = Line()
    batch = Batch(line.send, 0.1)
    lost = [ask(batch, str(number)) for number in range(5 * LIMIT)]
    assert {type(answer) for answer in await asyncio.gather(*lost, return_exceptions=True)} == {Unavailable}

    line.let_go()

    assert (await asyncio.wait_for(ask(batch, "next"), 5.0))[2] == b"next"
    assert line.calls[-1] == [("next", 1)]


async def test_a_caller_waits_its_own_time_also_when_calls_take_longer() -> None:
    """Those before it have given up meanwhile; it must neither inherit their deadline nor have none."""
    line = Line()
    batch = Batch(line.send, 0.1)
    first = ask(batch, "under way")
    await line.under_way()
    lost = await asyncio.gather(first, ask(batch, "before it"), return_exceptions=True)
    assert [type(answer) for answer in lost] == [Unavailable, Unavailable]

    started = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(ask(batch, "late"), 5.0)

    assert asyncio.get_running_loop().time() - started >= 0.09
    line.let_go()
    assert (await ask(batch, "next"))[2] == b"next"


async def test_those_behind_a_crowd_that_gave_up_are_asked_for() -> None:
    line = Line()
    batch = Batch(line.send, ENOUGH_S)
    under_way = [ask(batch, str(number)) for number in range(2 * ENOUGH)]
    crowd = [ask(batch, f"crowd {number}") for number in range(LIMIT)]
    patient = ask(batch, "patient")

    for one in crowd:
        one.cancel()
    line.let_go()

    assert (await asyncio.wait_for(patient, 5.0))[2] == b"patient"
    assert all(future.done() for future in under_way)
    assert line.calls[-1] == [("patient", 1)]


async def test_draining_waits_for_what_is_under_way() -> None:
    line = Line()
    batch = Batch(line.send, ENOUGH_S)
    asked = ask(batch, "a")
    await line.under_way()

    draining = asyncio.ensure_future(batch.drain())
    line.let_go()
    await draining

    assert asked.done()


@pytest.mark.parametrize("backend", backends.REAL, indirect=True)
async def test_a_thousand_uses_at_once_cost_a_handful_of_calls(world: World) -> None:
    tokens = [await world.issue(str(number)) for number in range(20)]
    before = world.commands()

    used = await asyncio.gather(*[world.tokens.use(tokens[number % 20].text) for number in range(1000)])

    assert [token.owner for token in used] == [str(number % 20) for number in range(1000)]
    assert world.commands()["evalsha"] - before["evalsha"] <= 3
    assert {(await world.tokens.peek(token.text)).uses for token in tokens} == {50}


async def test_of_five_at_once_three_use_a_token_with_three_uses(world: World) -> None:
    issued = await world.issue(uses=3)

    answers = await asyncio.gather(*[world.tokens.use(issued.text) for _ in range(5)], return_exceptions=True)

    assert [type(answer).__name__ for answer in answers] == ["Token"] * 3 + ["Consumed"] * 2
    assert isinstance(answers[4], Consumed)
    assert await world.story(issued) == ["issued", "consumed"]


async def test_different_questions_about_one_token_share_its_uses_too(world: World) -> None:
    """They are different arguments of one call: the script has to add them up."""
    issued = await world.issue(uses=3, scopes=("a", "b"))

    answers = await asyncio.gather(
        *[world.tokens.use(issued.text, scopes=scopes) for scopes in (("a",), ("b",), (), ("a",), ("b",))],
        return_exceptions=True,
    )

    assert sorted(type(answer).__name__ for answer in answers) == ["Consumed"] * 2 + ["Token"] * 3


async def test_one_presentation_cannot_pass_for_two(world: World) -> None:
    """Presentations travel as text; a scope that looks like the next one must stay a scope."""
    mine, theirs = await world.issue("ann", scopes=("read",)), await world.issue("bob")
    forged = f"read\nuse - - {theirs.token.id.replace('-', '')} 1"

    for scope in (forged, f" - - {theirs.token.id}", "\n", "a b", "\x00", "#", "%S+"):
        asked, alongside = await asyncio.gather(
            world.tokens.use(mine.text, scopes=(scope,)), world.tokens.use(mine.text), return_exceptions=True
        )
        assert isinstance(asked, Exception)
        assert getattr(alongside, "owner", None) == "ann"

    assert (await world.tokens.peek(theirs.text)).uses == 0
