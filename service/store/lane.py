"""One connection for the shared round trips, pipelined: calls are written as they come, answers read in order.

Only one task reads the connection.  On any doubt about it (an error, a caller's deadline) it is dropped, and all
that were waiting on it are told; what was sent may have taken effect, and its answers are read by nobody.
The pool, its timeouts and redis-py's retries around each call cost a third of what a use costs the service.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ResponseError

GivenUp = Callable[[], bool]


def never() -> bool:
    return False


class Lane:
    """timeout_s bounds each call, connecting included."""

    def __init__(self, redis: Redis, timeout_s: float) -> None:
        self._pool, self._timeout_s = redis.connection_pool, timeout_s
        self._opening = asyncio.Lock()
        self._line: Line | None = None

    def call(self, *words: Any, given_up: GivenUp = never) -> "asyncio.Future[Any]":
        """What the server answers to this command, which is written at once, before anything else runs.

        given_up: whether nobody waits for it any more; where it has to connect first, it is not written then.
        Its errors are redis-py's, `TimeoutError` and `OSError`.
        """
        line = self._line
        if line is None or line.broken or given_up():
            return asyncio.ensure_future(self._call_anew(words, given_up))
        return line.call(words, self._timeout_s)

    def drop(self) -> None:
        """The next call connects anew."""
        if self._line is not None:
            self._line.drop(Lost("dropped"))

    async def close(self) -> None:
        self.drop()
        if self._line is not None:
            await asyncio.wait({self._line.ended})

    async def _call_anew(self, words: tuple[Any, ...], given_up: GivenUp) -> Any:
        # One deadline for all of it: of many who wait here for a store that is frozen, the last would else be told of
        # it only when each of those before it has tried in vain.
        async with asyncio.timeout(self._timeout_s):
            line = await self._open()
            if given_up():
                raise TimeoutError
            return await line.call(words, self._timeout_s)

    async def _open(self) -> "Line":
        async with self._opening:
            if self._line is None or self._line.broken:
                connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
                # redis-py would put each read into a timeout of its own; a call's deadline drops the connection.
                connection.socket_timeout = None
                await connection.connect()
                self._line = Line(connection)
            return self._line


class Line:
    """A connection while it is sound, and those who wait for its answers, in the order in which they asked."""

    def __init__(self, connection: AbstractConnection) -> None:
        self.broken = False
        self._connection = connection
        self._asked: deque[asyncio.Future[Any]] = deque()
        loop = asyncio.get_running_loop()
        self.ended = loop.create_task(self._read(), context=contextvars.Context())

    def call(self, words: tuple[Any, ...], timeout_s: float) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        timer = loop.call_later(timeout_s, self.drop, TimeoutError())
        answer.add_done_callback(lambda _: timer.cancel())
        self._asked.append(answer)
        writer = self._connection._writer  # noqa: SLF001 - `send_command` would wait for its turn in the loop
        command = hiredis.pack_command(words)  # redis-py's own, in Python, takes 20 us longer for each call
        try:
            if writer is None:
                raise RuntimeError
            writer.writelines((command,))
        except RuntimeError:  # uvloop, of a connection that was closed a moment ago
            self.drop(Lost("closed"))
        return answer

    def drop(self, why: Exception) -> None:
        """Nobody is answered on this connection any more."""
        self.broken = True
        for answer in self._asked:
            if not answer.done():
                answer.set_exception(why)
        self._asked.clear()
        if asyncio.current_task() is not self.ended:
            self.ended.cancel()  # redis-py loses a cancellation only where it has a timeout of its own

    async def _read(self) -> None:
        """The only reader.  Ends with the connection."""
        try:
            while True:
                self._tell(await self._answer())
        except Exception as error:  # whatever it was, those who wait must hear of it
            self.drop(error)
        finally:
            await self._connection.disconnect(nowait=True)

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error

    def _tell(self, answer: Any) -> None:
        waiting = self._asked.popleft()  # an answer to nothing is an IndexError: the next would be another's
        if waiting.done():
            return
        if isinstance(answer, Exception):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)
