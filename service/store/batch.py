"""Requests that arrive while a round trip is under way share the next one.

What waits is sent together, equal questions once, with a count.  A call begins when none is under way, or when enough
wait to be worth one of their own; so the store works on one while the next is gathered.  Each caller waits on a
future of its own: giving up loses its answer and nobody else's, for nothing here is ever cancelled.
"""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from service.core.errors import Unavailable

Question = tuple[str, str]  # what is asked, of whom
Answer = tuple[str, int, bytes]  # word, remaining, record
Send = Callable[[list[tuple[Question, int]]], Awaitable[list[Answer]]]

log = logging.getLogger("service.store")

LIMIT = 256  # distinct questions a call: about 1 ms of the store's time
ENOUGH = 32  # that wait are worth a call beside the one under way
DEPTH = 2  # calls under way: with one alone, service and store take turns in waiting for each other (-20 %)


class Told:
    """Waits for an answer as a future does, but hears of it at once instead of when the loop comes by."""

    __slots__ = ("_done", "_tell")

    def __init__(self, tell: Callable[[Answer | Exception], None]) -> None:
        self._tell, self._done = tell, False

    def done(self) -> bool:
        return self._done

    def set_result(self, outcome: Answer | Exception) -> None:
        self._done = True
        try:
            self._tell(outcome)
        except Exception:
            log.exception("an answer found no hearer")  # those who wait beside it are told all the same

    set_exception = set_result


Waiter = asyncio.Future[Answer] | Told


class Waiting:
    """Questions for one call, those who wait for them, and the moment at which they stop waiting."""

    def __init__(self, until: float, over: "Callable[[Waiting], None]") -> None:
        self.futures: dict[Question, list[Waiter]] = {}
        # One timer for all: the first to come sets it, so nobody waits longer than it should.
        self.timer = asyncio.get_running_loop().call_at(until, over, self)

    def fail(self, error: Exception) -> None:
        for futures in self.futures.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    def questions(self) -> list[tuple[Question, int]]:
        """Those that somebody still waits for, what asks the same side by side.

        A use whose caller has heard of a failure must not be made any more.
        """
        self.futures = {
            question: waiting
            for question, futures in sorted(self.futures.items(), key=_asked)
            if (waiting := [future for future in futures if not future.done()])
        }
        return [(question, len(futures)) for question, futures in self.futures.items()]

    def settle(self, outcome: "list[Answer] | Exception") -> None:
        """Deals out the answers, or the one reason why there are none."""
        self.timer.cancel()
        if not isinstance(outcome, Exception) and len(outcome) != len(self.futures):
            # Dealt out in order, one would be another's.
            outcome = ValueError(f"{len(outcome)} answers to {len(self.futures)} questions")
        if isinstance(outcome, Exception):
            return self.fail(outcome)
        for futures, answer in zip(self.futures.values(), outcome, strict=True):
            _deliver(futures, answer)
        return None


class Batch:
    """`send` takes (question, count) pairs and gives the answers in order.

    timeout_s: how long a caller waits for its answer, whatever the store does, before `Unavailable`.
    """

    def __init__(self, send: Send, timeout_s: float, on_size: Callable[[int], None] = lambda _: None) -> None:
        self._send, self._timeout_s, self._on_size = send, timeout_s, on_size
        self._waiting: Waiting | None = None
        self._calls: set[asyncio.Task[None]] = set()

    def ask(self, question: Question) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.add(question, future)
        return future

    def add(self, question: Question, waiter: Waiter) -> None:
        """The same for one who waits in its own way.  Raises nothing."""
        waiting = self._waiting
        if waiting is None:
            loop = asyncio.get_running_loop()
            waiting = self._waiting = Waiting(loop.time() + self._timeout_s, self._give_up)
            if not self._calls:
                loop.call_soon(self._begin)  # with all that arrive until then
        waiting.futures.setdefault(question, []).append(waiter)
        if len(waiting.futures) >= ENOUGH:
            self._begin()

    async def drain(self) -> None:
        while self._calls:
            await asyncio.wait(self._calls)

    def _begin(self) -> None:
        """A call, if it is time for one."""
        if self._waiting is None or len(self._calls) >= DEPTH:
            return
        if self._calls and len(self._waiting.futures) < ENOUGH:
            return
        while self._waiting is not None:
            batch = self._take(self._waiting)
            if questions := batch.questions():
                self._on_size(len(questions))
                # What it does belongs to nobody's request, and least of all only to that of the first who asks.
                self._calls.add(contextvars.Context().run(self._sent, batch, questions))
                return
            batch.settle([])  # all of them have given up, but not those behind them

    def _give_up(self, waiting: Waiting) -> None:
        """Who comes after this must neither inherit its deadline, which is over, nor wait without one."""
        if self._waiting is waiting:
            self._waiting = None
        waiting.fail(Unavailable("timeout"))

    def _sent(self, batch: Waiting, questions: list[tuple[Question, int]]) -> "asyncio.Task[None]":
        """Sends them, before anything else runs, and deals out the answers when they come."""
        try:
            answers: Awaitable[list[Answer]] | Exception = self._send(questions)
        except Exception as error:  # whatever it was, its callers must hear of it
            answers = error
        return asyncio.get_running_loop().create_task(self._settle(batch, answers))

    async def _settle(self, batch: Waiting, answers: Awaitable[list[Answer]] | Exception) -> None:
        outcome: list[Answer] | Exception
        try:
            outcome = answers if isinstance(answers, Exception) else await answers
        except Exception as error:
            outcome = error
        # The next call goes out first: else it would wait behind all those that are woken now.
        self._calls.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        self._begin()
        batch.settle(outcome)

    def _take(self, batch: Waiting) -> Waiting:
        self._waiting = None
        if len(batch.futures) > LIMIT:
            self._waiting = Waiting(batch.timer.when(), self._give_up)
            for question in list(batch.futures)[LIMIT:]:
                self._waiting.futures[question] = batch.futures.pop(question)
        return batch


def _asked(item: tuple[Question, object]) -> str:
    return item[0][0]


def _deliver(futures: list[Waiter], answer: Answer) -> None:
    if len(futures) == 1:  # nearly always
        if not futures[0].done():
            futures[0].set_result(answer)
        return
    for future, share in zip(futures, shares(answer, len(futures)), strict=True):
        if not future.done():
            future.set_result(share)


def shares(answer: Answer, number: int) -> list[Answer]:
    """The answers of so many who asked the same.  'ok 3' for five: the token had three uses left."""
    word, remaining, record = answer
    if not word.startswith("ok "):
        return [answer] * number
    served = int(word.removeprefix("ok "))
    return [("ok", remaining, record)] * served + [("consumed", 0, record)] * (number - served)
