"""Calls that take turns: so many are under way, the others wait in the order in which they came.

Each waits on a future of its own, and nothing that was sent is ever cancelled: it keeps its turn until it is over.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from service.core.errors import Unavailable
from service.core.watch import failed
from service.store.batch import Answer
from service.store.lane import GivenUp

T = TypeVar("T")
Answers = list[Answer]
Call = Callable[[GivenUp], Awaitable[Answers]]


class Errand:
    """The calls of one request.  When one fails, or the time is over, those that were not sent yet never are: a use
    whose caller has heard of a failure must not be made any more.

    timeout_s: how long it waits, its turns included and whatever the store does, before `Unavailable`.
    """

    def __init__(self, timeout_s: float) -> None:
        self.answers: list[asyncio.Future[Answers]] = []
        # One for all, from the start: of a long line before a frozen store the last would else wait for each in turn.
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._give_up)

    async def all(self, parts: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
        """What they give.  They wait for nothing but futures, so that it is safe to cancel them."""
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            return await asyncio.gather(*tasks)
        finally:
            self._timer.cancel()
            for task in tasks:
                task.cancel()

    def fail(self, error: BaseException) -> None:
        """At once: the turn of a part that failed could else go to the next part of the same request."""
        for answer in self.answers:
            if not answer.done():
                answer.set_exception(error)

    def _give_up(self) -> None:
        error = Unavailable("timeout")
        failed(error)
        self.fail(error)


class Turn(NamedTuple):
    errand: Errand
    answer: asyncio.Future[Answers]
    call: Call
    context: contextvars.Context  # of its request: else the call were told of in that of whoever makes room


class Turns:
    """number: of calls under way."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._waiting = deque[Turn]()
        self._calls: set[asyncio.Future[Answers]] = set()

    def take(self, errand: Errand, call: Call) -> asyncio.Future[Answers]:
        """What the call gives, which is made when its turn comes, and only if somebody still waits for it."""
        answer: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        errand.answers.append(answer)
        self._waiting.append(Turn(errand, answer, call, contextvars.copy_context()))
        self._begin()
        return answer

    async def drain(self) -> None:
        while self._calls:
            await asyncio.wait(self._calls)

    def _begin(self) -> None:
        while self._waiting and len(self._calls) < self._number:
            turn = self._waiting.popleft()
            if not turn.answer.done():
                turn.context.run(self._make, turn)

    def _make(self, turn: Turn) -> None:
        try:
            call = asyncio.ensure_future(turn.call(turn.answer.done))
        except Exception as error:  # whatever it was, its caller must hear of it
            return turn.errand.fail(error)
        self._calls.add(call)
        call.add_done_callback(partial(self._over, turn))
        return None

    def _over(self, turn: Turn, call: asyncio.Future[Answers]) -> None:
        self._calls.discard(call)
        if call.cancelled():  # the end of the loop does that
            turn.answer.cancel()
        elif error := call.exception():
            turn.errand.fail(error)
        elif not turn.answer.done():
            turn.answer.set_result(call.result())
        self._begin()
