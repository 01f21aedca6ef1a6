"""The master that Sentinel names, behind one pool that follows it."""

from collections.abc import Callable
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as Lost

from service.store.nodes import Node, One
from service.store.tls import LedSecure, Secure
from service.store.urls import Where, wrong


class LedPool(SentinelConnectionPool, BlockingConnectionPool):
    """Each new connection leads to the master of that moment; once it is full, it makes the caller wait."""

    def __init__(self, *words: Any, changed: Callable[[], None], **options: Any) -> None:
        """changed: is told when the master is another one."""
        super().__init__(*words, **options)  # type: ignore[no-untyped-call]
        self._changed = changed

    async def get_master_address(self) -> Any:
        """No connection that there is leads to the old one any more: thawed, it takes itself for the master for a
        while, and accepts what was revoked since."""
        before = self.master_address
        address = await super().get_master_address()  # type: ignore[no-untyped-call]
        if before not in (None, address):
            for connection in self._in_use_connections:  # the idle ones were disconnected
                connection.mark_for_reconnect()  # type: ignore[no-untyped-call]
            self._changed()
        return address


class Led(One):
    """path: how calls are bounded, for the master and for the sentinels alike."""

    def __init__(self, where: Where, pool: dict[str, Any], path: dict[str, Any], timeout_s: float) -> None:
        self._master, options = where.master, dict(where.options)
        secure = options.pop("connection_class", None) is not None
        trust = {name: value for name, value in options.items() if name.startswith("ssl_")} | {"ssl": secure}
        self._sentinel = Sentinel(where.seats, sentinel_kwargs={**where.sentinel, **path, **trust})  # type: ignore[no-untyped-call]
        if secure:
            options["connection_class"] = LedSecure
            for one in self._sentinel.sentinels:
                one.connection_pool.connection_class = Secure
        led = LedPool(where.master, self._sentinel, changed=self._drop_lane, **options, **path, **pool)
        super().__init__(Redis.from_pool(led), timeout_s)

    def _drop_lane(self) -> None:
        self.of("").lane.drop()

    async def find(self, key: str) -> Node:
        """Raises `WrongStore` when the sentinels answer, and none of them knows the master."""
        answers = [await _masters(one) for one in self._sentinel.sentinels]
        known = [answer for answer in answers if not isinstance(answer, Exception)]
        if not known:
            errors = [answer for answer in answers if isinstance(answer, Exception)]
            if refused := [error for error in errors if isinstance(error, AuthenticationError)]:
                raise refused[0]
            raise Lost("no sentinel answers") from errors[0]
        if not any(self._master in found for found in known):
            names = ", ".join(sorted({name for found in known for name in found})) or "no master at all"
            raise wrong(f"Sentinel knows no master named {self._master}; it knows {names}")
        return self.of(key)

    async def close(self) -> None:
        await super().close()
        await self._sentinel.aclose()


async def _masters(sentinel: Any) -> set[str] | Exception:
    try:
        return set(await sentinel.sentinel_masters())
    except (Lost, TimeoutError, OSError) as error:
        return error
