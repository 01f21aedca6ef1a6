"""Requests that arrive while a round trip is under way share the next one.

One call is under way at a time; what arrives meanwhile waits and is sent together, equal questions once, with a
count.  Each caller waits on a future of its own: giving up loses its answer and nobody else's, for nothing here is
ever cancelled and only the one task reads the answers.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

from service.core.errors import Unavailable

Answer = tuple[str, int, bytes]  # word, remaining, record
Send = Callable[[list[tuple[str, int]]], Awaitable[list[Answer]]]

LIMIT = 256  # distinct questions a call: about 1 ms of the store's time


class Waiting:
    """Questions for one call, those who wait for them, and the moment at which they stop waiting."""

    def __init__(self, until: float) -> None:
        self.futures: dict[str, list[asyncio.Future[Answer]]] = {}
        # One timer for all: the first to come sets it, so nobody waits longer than it should.
        self.timer = asyncio.get_running_loop().call_at(until, self.fail, Unavailable("timeout"))

    def fail(self, error: Exception) -> None:
        for futures in self.futures.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    def questions(self) -> list[tuple[str, int]]:
        """Those that somebody still waits for: a use whose caller has heard of a failure must not be made any more."""
        self.futures = {
            question: waiting
            for question, futures in self.futures.items()
            if (waiting := [future for future in futures if not future.done()])
        }
        return [(question, len(futures)) for question, futures in self.futures.items()]

    def deliver(self, answers: list[Answer]) -> None:
        if len(answers) != len(self.futures):  # dealt out in order, one would be another's
            raise ValueError(f"{len(answers)} answers to {len(self.futures)} questions")
        for futures, answer in zip(self.futures.values(), answers, strict=True):
            _deliver(futures, answer)


class Batch:
    """`send` takes (question, count) pairs and gives the answers in order.

    timeout_s: how long a caller waits for its answer, whatever the store does, before `Unavailable`.
    """

    def __init__(self, send: Send, timeout_s: float, on_size: Callable[[int], None] = lambda _: None) -> None:
        self._send, self._timeout_s, self._on_size = send, timeout_s, on_size
        self._waiting: Waiting | None = None
        self._running: asyncio.Task[None] | None = None

    def ask(self, question: str) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        if self._waiting is None:
            self._waiting = Waiting(loop.time() + self._timeout_s)
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.futures.setdefault(question, []).append(future)
        if self._running is None:
            # What it does belongs to nobody's request, and least of all only to that of the first who asks.
            self._running = loop.create_task(self._run(), context=contextvars.Context())
        return future

    async def drain(self) -> None:
        if self._running is not None:
            await asyncio.wait({self._running})

    async def _run(self) -> None:
        while self._waiting is not None:
            await self._answer(self._take(self._waiting))
        self._running = None

    async def _answer(self, batch: Waiting) -> None:
        try:
            if questions := batch.questions():
                self._on_size(len(questions))
                batch.deliver(await self._send(questions))
        except Exception as error:  # whatever it was, its callers must hear of it and the loop goes on
            batch.fail(error)
        batch.timer.cancel()

    def _take(self, batch: Waiting) -> Waiting:
        self._waiting = None
        if len(batch.futures) > LIMIT:
            self._waiting = Waiting(batch.timer.when())
            for question in list(batch.futures)[LIMIT:]:
                self._waiting.futures[question] = batch.futures.pop(question)
        return batch


def _deliver(futures: list[asyncio.Future[Answer]], answer: Answer) -> None:
    """'ok 3' for five callers: the token had three uses left, so three of them used it."""
    word, remaining, record = answer
    word, _, granted = word.partition(" ") if word.startswith("ok ") else (word, "", "")
    served = int(granted) if granted else len(futures)
    for number, future in enumerate(futures):
        if not future.done():
            future.set_result((word, remaining, record) if number < served else ("consumed", 0, record))
