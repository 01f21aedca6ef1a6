"""Where presentations wait for the round trip that they share: at one place, or on a cluster at one a partition."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import TypeVar

from msgspec.structs import replace

from service.core.callers import ADMIN
from service.core.store import ANY_TENANT, Ask, Asking
from service.store import keys, record
from service.store.batch import Answer, Batch, Question, Told, shares
from service.store.lane import GivenUp, never
from service.store.link import Link
from service.store.questions import group, groups, head_of, question
from service.store.turns import Errand, Turns

T = TypeVar("T")
# Groups of questions to where a partition lives.
Send = Callable[[int, Iterable[str], GivenUp], Awaitable[list[Answer]]]
Read = Callable[[Sequence[str], list[Answer]], Sequence[T]]

PART = 128  # tokens of one call: their answers, 30 kB, are written in one piece
# Parts under way.  A use waits for all that were sent before it: of 8 requests for 1,000 tokens each that would be 64,
# 50 ms of the store's time, and after each 64 kB of answers the store turns to others, so that it and the service take
# turns in waiting.  8 connections with such requests, tokens/s: all at once 104 k, 3 parts 107-119 k, 5 121 k,
# 8 123 k, 12 119 k; p99 106-111 ms -> 76-82 ms.  6 lies between the best two: fewer stand before a use.
PARTS = 6


class Desk:
    def __init__(self, link: Link, partitions: int, send: Send) -> None:
        self._send, self._many, self._timeout_s = send, link.nodes.many, link.timeout_s
        self._turns = Turns(PARTS)
        self._told: set[asyncio.Future[Answer]] = set()  # whom nobody else holds
        places = range(partitions if self._many else 1)
        self._batches = [Batch(partial(self._put_all, place), link.timeout_s, link.watch.batch) for place in places]

    def ask(self, ask: Ask) -> Awaitable[Answer]:
        if not self._many:
            return self._batches[0].ask(question(ask))
        subject, caller = _partition(ask.subject), _partition(ask.caller)
        if subject is None or caller is None or subject == caller:
            return self._put(caller if subject is None else subject, ask)
        return self._ask_apart(caller, subject, ask)

    def add(self, asking: Asking, told: Told) -> None:
        """The same for one who is told."""
        if not self._many:
            self._batches[0].add(asking.question, told)
        else:
            answer = asyncio.ensure_future(self.ask(asking.ask))
            self._told.add(answer)
            answer.add_done_callback(partial(self._tell, told))

    async def ask_all(self, ask: Ask, subjects: Sequence[str], read: Read[T]) -> list[T]:
        """The same of each of these, in parts: the answers of one are read while the store works on the next."""
        errand, starts = Errand(self._timeout_s), range(0, len(subjects), PART)
        parts = [self._ask_part(errand, ask, subjects[at : at + PART], read) for at in starts]
        return list(chain(*await errand.all(parts)))

    async def drain(self) -> None:
        for batch in self._batches:
            await batch.drain()
        await self._turns.drain()

    async def _ask_part(self, errand: Errand, ask: Ask, subjects: Sequence[str], read: Read[T]) -> Sequence[T]:
        return read(subjects, await self._answers(errand, ask, subjects))

    async def _answers(self, errand: Errand, ask: Ask, subjects: Sequence[str]) -> list[Answer]:
        """In one call of their own, on a cluster with all others."""
        if self._many:
            return list(await asyncio.gather(*[self.ask(replace(ask, subject=one)) for one in subjects]))
        ids = list(map(keys.short, subjects))
        counts = Counter(ids)
        words = group(head_of(ask), counts, counts.values())
        answers = await self._turns.take(errand, partial(self._send, 0, words))
        if len(counts) == len(ids):
            return answers
        dealt = {id_: iter(shares(answer, counts[id_])) for id_, answer in zip(counts, answers, strict=True)}
        return [next(dealt[id_]) for id_ in ids]

    async def _ask_apart(self, caller: int, subject: int, ask: Ask) -> Answer:
        """No script reaches two partitions of a cluster: first the caller is used in its own, then the subject in the
        other, for the tenant that the caller acts for."""
        answer = await self._put(caller, Ask("use", None, ask.caller, ask.grant))
        word, left, found = answer
        if word != "ok":
            return answer
        known = record.decode(ask.caller or "", found, left)
        tenant = ANY_TENANT if ADMIN in known.scopes else known.tenant
        return await self._put(subject, replace(ask, caller=f"={tenant}"))

    def _tell(self, told: Told, answer: "asyncio.Future[Answer]") -> None:
        self._told.discard(answer)
        error = answer.exception()
        if error is None:
            told.set_result(answer.result())
        elif isinstance(error, Exception):
            told.set_exception(error)

    def _put_all(self, place: int, questions: list[tuple[Question, int]]) -> Awaitable[list[Answer]]:
        return self._send(place, groups(questions), never)

    def _put(self, place: int | None, ask: Ask) -> Awaitable[Answer]:
        return self._batches[place or 0].ask(question(ask))


def _partition(handle: str | None) -> int | None:
    return None if handle is None else keys.partition(handle)
