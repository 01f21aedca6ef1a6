"""The small things beside the tokens: accounts, answers kept for idempotent requests, and whose turn it is."""

from collections.abc import Awaitable
from typing import cast

from service.core.text import partition_of
from service.store import keys
from service.store.link import Link


class Shelf:
    """Implements `AccountStore`, `ReplayStore` and `PaceStore` of the core."""

    def __init__(self, link: Link, partitions: int) -> None:
        self._link, self._partitions = link, partitions

    async def put_account(self, tenant: str, username: str, digest: str) -> None:
        key = self._account(tenant, username)
        await self._link.at(key, lambda redis: redis.set(key, digest))

    async def get_account(self, tenant: str, username: str) -> str | None:
        found = await self._get(self._account(tenant, username))
        return found.decode() if found is not None else None

    async def delete_account(self, tenant: str, username: str) -> bool:
        key = self._account(tenant, username)
        return bool(await self._link.at(key, lambda redis: redis.delete(key)))

    async def claim(self, digest: str, value: bytes, kept_ms: int) -> bytes | None:
        # Not SET NX GET in one, which Redis 6.2 refuses.
        key = self._replay(digest)
        while not await self._link.at(key, lambda redis: redis.set(key, value, nx=True, px=kept_ms)):
            found = await self._get(key)
            if found is not None:
                return found
        return None

    async def settle(self, digest: str, value: bytes) -> None:
        key = self._replay(digest)
        await self._link.at(key, lambda redis: redis.set(key, value, xx=True, keepttl=True))

    async def turn(self, digest: str, per_second: int) -> int:
        wait_ms: int = await self._link.run("pace", keys.pace(self._spread(digest), digest), per_second)
        return wait_ms

    def _get(self, key: str) -> Awaitable[bytes | None]:
        # This client decodes nothing.
        return self._link.at(key, lambda redis: cast(Awaitable[bytes | None], redis.get(key)))

    def _account(self, tenant: str, username: str) -> str:
        return keys.account(partition_of(tenant, username, self._partitions), tenant, username)

    def _replay(self, digest: str) -> str:
        return keys.replay(self._spread(digest), digest)

    def _spread(self, digest: str) -> int:
        return int(digest[:8], 16) % self._partitions
