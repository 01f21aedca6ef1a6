"""The store of tokens: one script a verb, one shared round trip for all that use and peek."""

from collections.abc import Awaitable, Iterable, Sequence
from functools import partial
from itertools import chain
from math import ceil, sqrt
from typing import Any

from service.core.errors import BadInput, Unavailable, Unknown
from service.core.store import Ask, Asking, Filter, Form, Found, Pass, Stats, Tell
from service.core.text import dashed, partition_of
from service.core.token import PARTITIONS, STATES, Draft, Token, Words, place_of
from service.core.watch import about, asked_by, failed
from service.store import keys, record
from service.store.batch import Answer, Question, Told
from service.store.desk import Desk
from service.store.forms import in_form
from service.store.lane import GivenUp
from service.store.link import Link
from service.store.questions import answers_of, outcome, question, refusal, token_of, triples
from service.store.sweeps import Sweeps

STRIDE, LONGEST = 32, 1_000  # tokens that a page looks at together at least, and once it has passed over many


class RedisStore:
    """Implements `service.core.store.Store`."""

    def __init__(self, link: Link, partitions: int, *, events_used: bool = False) -> None:
        self._link, self._partitions = link, partitions
        self._sweeps = Sweeps(link, partitions)
        self._used = "1" if events_used else "0"
        self._desk = Desk(link, partitions, self._send)

    def partition(self, tenant: str, owner: str) -> int:
        return partition_of(tenant, owner, self._partitions)

    async def present(self, ask: Ask) -> Token:
        if ask.subject is None:
            asked_by(ask.caller)
        else:
            about(ask.verb, ask.subject, ask.caller)
        try:
            found = outcome(ask, ask.subject, await self._desk.ask(ask))
        except Unavailable as error:
            failed(error)
            raise
        if isinstance(found, Exception):
            failed(found)
            raise found
        return found

    def question(self, ask: Ask) -> Question:
        return question(ask)

    def present_soon(self, asking: Asking, tell: Tell) -> None:
        ask = asking.ask
        about(ask.verb, ask.subject, ask.caller)
        self._desk.add(asking, Told(partial(_tell, asking, tell)))

    async def present_many(self, ask: Ask, subjects: Sequence[str], form: Form | None = None) -> Found:
        return await self._desk.ask_all(ask, subjects, partial(_read, ask, form))

    async def issue(self, id_: str, draft: Draft, words: Words) -> Token:
        word, remaining, found = await self._run_for(
            "issue", id_, draft.tenant, draft.owner, draft.type,
            record.number(draft.life_ms or None), record.number(draft.ceiling_ms), record.number(draft.uses),
            record.flags(draft), record.scopes_word(draft.scopes), record.body(words),
        )  # fmt: skip
        if word == b"ceiling":
            raise BadInput("ceiling_ms", "lies in the past")
        if word == b"types":
            raise BadInput("type", "this tenant has too many types already")
        return record.decode(id_, found, remaining)

    async def renew(self, id_: str, tenant: str) -> Token:
        return token_of(id_, *await self._run_for("renew", id_, tenant))

    async def revoke(self, ids: Sequence[str], tenant: str, reason: str) -> list[Token | None]:
        about("revoke", ids[0] if len(ids) == 1 else None)
        groups = list(self._groups(ids))
        flats = await self._link.run_each("revoke", [
            (keys.due(keys.partition(group[0])), (tenant, reason, *map(keys.short, group))) for group in groups
        ])  # fmt: skip
        found = {
            id_: record.decode(id_, found, 0) if word == "ok" else None
            for group, flat in zip(groups, flats, strict=True)
            for id_, (word, _, found) in zip(group, triples(flat), strict=True)
        }
        return [found[id_] for id_ in ids]

    async def revoke_owner(
        self, tenant: str, owner: str, type_: str | None, reason: str, spared: Sequence[str], limit: int, *, dry: bool
    ) -> tuple[int, bool]:
        about("revoke_owner", None)
        partition = self.partition(tenant, owner)
        revoked, more = await self._link.run(
            "revoke_owner", keys.due(partition), tenant, owner, type_ or "", reason, limit, int(dry),
            keys.tag(partition), *map(keys.short, spared),
        )  # fmt: skip
        return revoked, bool(more)

    async def rotate(self, old: Token, overlap_ms: int, new_id: str, words: Words, sealed: str) -> tuple[Token, str]:
        word, remaining, found, id_, kept = await self._run_for(
            "rotate", old.id, old.tenant, overlap_ms, keys.short(new_id), record.body(words), sealed
        )
        if word != b"ok":
            raise refusal(old.id, word.decode(), found)
        if not found:  # the successor ended and was purged while the old text still lived
            raise Unknown
        return record.decode(dashed(id_.decode()), found, remaining), kept.decode()

    async def amend(self, seen: Token, life_ms: int | None, scopes: tuple[str, ...], words: Words) -> Token | None:
        word, remaining, found = await self._run_for(
            "amend", seen.id,
            record.number(seen.life_ms), record.scopes_word(seen.scopes), record.body(seen.words),
            record.number(life_ms), record.scopes_word(scopes), record.body(words),
        )  # fmt: skip
        return None if word == b"changed" else token_of(seen.id, word, remaining, found)

    async def page(self, which: Filter, after: int, before: int, limit: int, *, descending: bool) -> list[Token]:
        page, stride = list[Token](), STRIDE
        while len(page) < limit:
            wanted = max(limit - len(page), stride)
            stride = min(2 * stride, LONGEST)  # a whole burst may stand here that a sweep has not marked or relisted
            rows = await self._rows(which, after, before, wanted, descending=descending)
            found = await self.present_many(Ask("look", None), [dashed(id_) for _, id_ in rows]) if rows else []
            # One may have been purged since its list was read; one may have expired before a sweep marked it; and a
            # damaged store may have given its number to another owner's too.
            known = [one for one in found if isinstance(one, Token) and which.owner in (None, one.owner)]
            page += [one for one in known if one.state in (which.states or STATES)]
            if len(rows) < wanted:
                break
            after, before = (after, rows[-1][0]) if descending else (rows[-1][0], before)
        return page[:limit]

    async def count(self, which: Filter) -> dict[tuple[str, str], int]:
        totals: dict[tuple[str, str], int] = {}
        ask = which.tenant, which.owner or ""
        calls = [(keys.due(number), (keys.tag(number), *ask)) for number in self._where(which)]
        for flat in await self._link.run_each("count", calls):
            for kind, state, number in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
                key = kind.decode(), state.decode()
                if which.type in (None, key[0]) and key[1] in (which.states or STATES):
                    totals[key] = totals.get(key, 0) + number
        return totals

    async def sweep(self, limit: int, share: Sequence[int] | None = None) -> Pass:
        return await self._sweeps.run(limit, share)

    async def stats(self) -> Stats:
        tokens = dict.fromkeys(STATES, 0)
        backlog = events = 0
        for flat in await self._link.run_each(
            "stats", [(keys.due(n), (keys.tag(n),)) for n in range(self._partitions)]
        ):
            for state, number in zip(STATES, flat, strict=False):
                tokens[state] += number
            backlog, events = backlog + flat[-2], events + flat[-1]
        return Stats(tokens, backlog, events)

    async def close(self) -> None:
        await self._desk.drain()

    def _run_for(self, verb: str, id_: str, *args: Any) -> Awaitable[Any]:
        about(verb, id_)
        return self._link.run(verb, keys.due(keys.partition(id_)), keys.short(id_), *args)

    async def _rows(
        self, which: Filter, after: int, before: int, limit: int, *, descending: bool
    ) -> list[tuple[int, str]]:
        """(place, short handle) of what the lists hold between two places."""

        async def read(where: Sequence[int], most: int) -> dict[int, list[tuple[int, str]]]:
            return dict(zip(where, await self._read(which, where, after, before, most, descending), strict=True))

        where = self._where(which)
        most = min(limit, _likely(limit, len(where)))
        parts, whole = await read(where, most), set[int]()
        while True:
            rows = sorted(chain(*parts.values()), reverse=descending)[:limit]
            # Of a partition that gave all that it might, more can stand before the last row: it is asked for all of
            # them.  And again: where some ended since, the page reaches further into what others gave.
            cut = [n for n in where if n not in whole and len(parts[n]) == most and parts[n][-1] in rows[: limit - 1]]
            if not cut:
                return rows
            parts |= await read(cut, limit)
            whole.update(cut)

    async def _read(
        self, which: Filter, where: Sequence[int], after: int, before: int, limit: int, descending: bool
    ) -> list[list[tuple[int, str]]]:
        """The same of each of these partitions."""
        states = f" {' '.join(which.states)} " if which.states else ""
        parts = await self._link.run_each("page", [
            (keys.due(number), (keys.tag(number), which.tenant, which.owner or "", which.type or "", states,
                                *_sequences(after, before, number), limit, "desc" if descending else "asc"))
            for number in where
        ])  # fmt: skip
        return [
            [
                (place_of(int(sequence), number), id_.decode())
                for sequence, id_ in zip(part[::2], part[1::2], strict=True)
            ]
            for number, part in zip(where, parts, strict=True)
        ]

    def _groups(self, ids: Sequence[str]) -> Iterable[Sequence[str]]:
        """Those that one call may be about: all, or on a cluster those of one partition."""
        if not self._link.nodes.many:
            return [ids]
        groups: dict[int, list[str]] = {}
        for id_ in ids:
            groups.setdefault(keys.partition(id_), []).append(id_)
        return groups.values()

    def _where(self, which: Filter) -> Sequence[int]:
        """The partitions that may hold some of these: one for an owner, all for a tenant."""
        if which.owner is not None:
            return [self.partition(which.tenant, which.owner)]
        return range(self._partitions)

    def _send(self, place: int, groups: Iterable[str], given_up: GivenUp) -> Awaitable[list[Answer]]:
        """One call for all.  The key only says where on a cluster; on one server the ids may be of any partition."""
        return answers_of(self._link.run_shared("present", keys.due(place), self._used, *groups, given_up=given_up))


def _sequences(after: int, before: int, partition: int) -> tuple[int, int]:
    """The first and the last sequence number whose places in this partition lie between the two."""
    return (after - partition) // PARTITIONS + 1, (before - 1 - partition) // PARTITIONS


def _likely(limit: int, partitions: int) -> int:
    """How many of so many rows one partition has at most, nearly always: of few owners it has twice its share."""
    share = limit / partitions
    return ceil(2 * share + 4 * sqrt(share))


def _read(ask: Ask, form: Form | None, subjects: Sequence[str], answers: list[Answer]) -> Found:
    return [in_form(form, ask, subject, answer) for subject, answer in zip(subjects, answers, strict=True)]


def _tell(asking: Asking, tell: Tell, answer: Answer | Exception) -> None:
    tell(answer if isinstance(answer, Exception) else in_form(asking.form, asking.ask, asking.ask.subject, answer))
