"""Pace: how often a second something may come.  0 is no limit, and then the store is not asked."""

import hashlib
from typing import Protocol


class PaceStore(Protocol):
    async def turn(self, digest: str, per_second: int) -> int:
        """0 when it may come now, which then counts; else the ms until it may."""


class Pace:
    def __init__(self, store: PaceStore, per_second: int) -> None:
        self._store, self._per_second = store, per_second

    async def wait_ms(self, what: str) -> int:
        """0: now.  `what` may be anybody's words or secret: only its digest is kept, and for a second."""
        if not self._per_second:
            return 0
        return await self._store.turn(hashlib.sha256(what.encode()).hexdigest()[:32], self._per_second)
