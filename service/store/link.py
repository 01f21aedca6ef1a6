"""The link to Redis: the client and its deadlines.  Every failure leaves here as `Unavailable`."""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import repeat
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from service.core.errors import Unavailable
from service.core.text import dashed
from service.core.watch import SILENT, Watch, failed
from service.store import keys, tls
from service.store.lane import GivenUp, never
from service.store.nodes import Node, Nodes, alone
from service.store.scripts import Scripts, told

T = TypeVar("T")
Changed = Callable[[str, str, int | None], None]  # a transition: kind, handle, and of an expiry how late (ms)
PASSING = (AskError, ClusterDownError, MasterDownError, MovedError, ReadOnlyError, TryAgainError)  # while things move

# RuntimeError: uvloop, of a connection that was closed a moment ago; plain asyncio and redis-py do not know it.
FAILURES = (RedisError, OSError, TimeoutError, RuntimeError)
CLOSED = "the handler is closed"
# What a store says that takes no writes, and what callers are told of it.
REFUSED = (
    ("when used memory >", "The token store is full: it takes nothing new until it has room; what it holds works on."),
    ("MISCONF", "The token store cannot write to its disk: until it can, nothing is changed or renewed."),
    ("NOREPLICAS", "The token store has too few replicas: until it has more, or another takes over, it takes nothing."),
)
TOLD_S = 60.0  # between two lines that say the same of TLS: each call that fails would have one
ENDINGS = ("revoke", "revoke_owner", "rotate")
TOO_FEW = "The revocation was made, but too few replicas of the token store have it yet: repeat it."

log = logging.getLogger("service.store")


class Link:
    """timeout_s bounds what a caller waits; the client's own timeouts end the call itself.

    copies: how many replicas must have what ends tokens before it is acknowledged.
    """

    def __init__(
        self, nodes: Nodes, scripts: Scripts, timeout_s: float, watch: Watch = SILENT,
        changed: Changed | None = None, copies: int = 0,
    ) -> None:  # fmt: skip
        self.nodes, self.scripts, self.timeout_s, self.watch = nodes, scripts, timeout_s, watch
        self._changed, self._copies = changed, copies
        self._under_way: set[asyncio.Task[Any]] = set()
        self._tell_again: dict[str, float] = {}

    async def run(self, verb: str, key: str | list[str], *args: Any) -> Any:
        """One script call.  On a cluster its keys are of one partition."""
        started = time.perf_counter()
        first, copies = key if isinstance(key, str) else key[0], self._copies if verb in ENDINGS else 0
        if copies:
            wait_ms = int(self.timeout_s * 500)  # half of the time: the rest is for the script and the way
            kept = await self.at(first, lambda redis: self.scripts.kept(redis, copies, wait_ms, verb, first, *args))
            (answer, made), have = kept
        else:
            (answer, made), have = await self.at(first, lambda redis: self.scripts(redis, verb, key, *args)), 0
        self.watch.call(verb, time.perf_counter() - started)
        if made and self._changed is not None:
            self._tell(made, self._changed)
        if have < copies:
            self.watch.store_error("replicas")
            raise _noted(Unavailable("replicas", TOO_FEW))
        return answer

    def run_shared(self, verb: str, key: str | list[str], *args: Any, given_up: GivenUp = never) -> Awaitable[Any]:
        """The same on a connection of its own, for what is asked all the time: the pool would cost more than the call.
        It is written before this returns, or when there is a connection, if nobody has given up until then.
        Who waits for it has a deadline of his own, or trusts the lane's."""
        first = key if isinstance(key, str) else key[0]
        call = self._at(first, lambda node: self.scripts.in_lane(node.lane, verb, key, *args, given_up=given_up))
        return self._shared(verb, time.perf_counter(), call)

    async def _shared(self, verb: str, started: float, call: Awaitable[Any]) -> Any:
        try:
            answer, made = await call
        except FAILURES as error:
            raise self._unavailable(error) from None
        self.watch.call(verb, time.perf_counter() - started)
        if made and self._changed is not None:
            self._tell(made, self._changed)
        return answer

    async def at(self, key: str, call: Callable[[Redis], Awaitable[T]]) -> T:
        """What is no script, where the key lives."""
        return await self.within(self._at(key, lambda node: call(node.redis)))

    def _at(self, key: str, call: Callable[[Node], Awaitable[T]]) -> Awaitable[T]:
        """The call is made before this returns, unless it has to be found out where."""
        node = self.nodes.of(key)
        return self._followed(key, call, node, None if node is None else call(node))

    async def _followed(
        self, key: str, call: Callable[[Node], Awaitable[T]], node: Node | None, made: Awaitable[T] | None
    ) -> T:
        if node is None or made is None:
            node = await self.nodes.find(key)
            made = call(node)
        try:
            try:
                return await made
            except MovedError as error:  # it did not run
                node = self.nodes.moved(error)
                return await call(node)
        except FAILURES as error:
            plain = told(error)
            await self.nodes.failed(node, plain)
            if plain is error:
                raise
            raise plain from None

    async def run_each(self, verb: str, calls: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        """One script on many partitions, all in flight together."""
        if len(calls) == 1:
            return [await self.run(verb, calls[0][0], *calls[0][1])]
        return list(await asyncio.gather(*[self.run(verb, key, *args) for key, args in calls]))

    async def within(self, call: Awaitable[T]) -> T:
        """Waits for a call at most the timeout.  It is never cancelled: redis-py on Python 3.11 loses cancellations,
        and a call that was sent may take effect whether or not anybody waits for it."""
        task = asyncio.ensure_future(call)
        self._under_way.add(task)
        task.add_done_callback(self._over)
        done, _ = await asyncio.wait({task}, timeout=self.timeout_s)
        if not done:
            self.watch.store_error("timeout")
            raise _noted(Unavailable("timeout"))
        try:
            return task.result()
        except FAILURES as error:
            raise self._unavailable(error) from None

    async def answers(self) -> bool:
        """Whether the store is there, all of it."""
        try:
            await self.within(self._ping())
        except Unavailable:
            return False
        return True

    async def close(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)
        await self.nodes.close()

    async def _ping(self) -> None:
        for node in await self.nodes.each():
            await node.redis.ping()

    def _tell(self, made: list[bytes], changed: Changed) -> None:
        for kind, ids, lates in zip(made[::3], made[1::3], made[2::3], strict=True):
            handles = [dashed(ids[at : at + keys.ID].decode()) for at in range(0, len(ids), keys.ID)]
            for handle, late in zip(handles, map(int, lates.split()) if lates else repeat(None), strict=False):
                changed(kind.decode(), handle, late)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():  # the end of the loop does that
            task.exception()  # seen, should nobody wait any more

    def _unavailable(self, error: Exception) -> Unavailable:
        kind = type(error).__name__
        if isinstance(error, RuntimeError):
            if CLOSED not in str(error):
                raise error  # a fault of ours
            kind = "ConnectionError"
        if insecure := tls.cause(error):
            return self._insecure(insecure)
        self.watch.store_error(kind)
        if isinstance(error, ResponseError) and not (isinstance(error, PASSING) or alone(error)):
            log.error("the store refused a script", extra={"error": str(error)})
        return _noted(Unavailable(kind, _explained(str(error))))

    def _insecure(self, error: ssl.SSLError) -> Unavailable:
        """A certificate may change while the service runs.  Before, who waits for the store tells."""
        reason, now = tls.said(error), time.monotonic()
        self.watch.store_error(type(error).__name__)
        if self.scripts.ready and now >= self._tell_again.get(reason, 0.0):
            log.error("no connection to the store", extra={"reason": reason})
            self._tell_again[reason] = now + TOLD_S
        return _noted(Unavailable(reason))


def _explained(said: str) -> str | None:
    return next((message for words, message in REFUSED if words in said), None)


def _noted(error: Unavailable) -> Unavailable:
    failed(error)
    return error
