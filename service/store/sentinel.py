"""The master that Sentinel names, behind one pool that follows it."""

from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.exceptions import ConnectionError as Lost

from service.store.nodes import Node, One
from service.store.urls import Where, wrong


class LedPool(SentinelConnectionPool, BlockingConnectionPool):
    """Each new connection leads to the master of that moment; once it is full, it makes the caller wait."""


class Led(One):
    """path: how calls are bounded, for the master and for the sentinels alike."""

    def __init__(self, where: Where, pool: dict[str, Any], path: dict[str, Any], timeout_s: float) -> None:
        secure = where.options.get("connection_class") is SSLConnection
        self._master, options = where.master, {**where.options, "ssl": secure}
        options.pop("connection_class", None)
        self._sentinel = Sentinel(where.seats, sentinel_kwargs={**where.sentinel, **path, "ssl": secure})  # type: ignore[no-untyped-call]
        led = LedPool(where.master, self._sentinel, **options, **path, **pool)  # type: ignore[no-untyped-call]
        super().__init__(Redis.from_pool(led), timeout_s)

    async def find(self, key: str) -> Node:
        """Raises `WrongStore` when the sentinels answer, and none of them knows the master."""
        known = [found for one in self._sentinel.sentinels if (found := await _masters(one)) is not None]
        if not known:
            raise Lost("no sentinel answers")
        if not any(self._master in found for found in known):
            names = ", ".join(sorted({name for found in known for name in found})) or "no master at all"
            raise wrong(f"Sentinel knows no master named {self._master}; it knows {names}")
        return self.of(key)

    async def close(self) -> None:
        await super().close()
        await self._sentinel.aclose()


async def _masters(sentinel: Any) -> set[str] | None:
    try:
        return set(await sentinel.sentinel_masters())
    except (Lost, TimeoutError, OSError):
        return None
