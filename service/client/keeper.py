"""Keeps a token alive while the body of an `async with` runs."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from service.client.answers import TokenView
from service.client.calls import pauses
from service.core.errors import CallerRefused, Refusal, Unavailable

SHARE = 2 / 3  # of what remains passes before the next renewal: a third is left to get over an outage
JITTER = 0.1  # of the share, so that many holders do not renew in step
LOOK_S = 60.0  # between looks at a token that never ends by itself: it may be revoked
LEAST_S = 0.02  # a renewal may take so long even when hardly any life is left

Renew = Callable[[float], Awaitable[TokenView]]  # within so many seconds


class KeepAlive:
    """`view` is the token as last renewed.

    When the token is refused, or its life runs out while nobody answers, the body is cancelled where it waits, and
    the `async with` raises the `Refusal` or `Unavailable`.  Measures with the monotonic clock.
    """

    view: TokenView

    def __init__(self, renew: Renew, timeout_s: float) -> None:
        self._renew, self._timeout_s = renew, timeout_s
        self._verdict: Exception | None = None

    @property
    def remaining_s(self) -> float | None:
        """At least so long it still lives; None: for ever."""
        return None if self._ends is None else max(0.0, self._ends - self._now())

    async def __aenter__(self) -> Self:
        """Raises the refusal at once when the token is of no use from the start."""
        self._now = asyncio.get_running_loop().time
        self._ends: float | None = None
        await self._renewed(self._timeout_s)
        body = asyncio.current_task()
        assert body is not None  # noqa: S101  # only tasks can wait
        self._body, self._cancels = body, body.cancelling()
        self._task = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()  # nothing but HTTP waits in there, and that may be dropped at any point
        await asyncio.wait([self._task])
        if self._verdict is None:
            return
        ours = self._body.uncancel() <= self._cancels
        if kind is None or (ours and issubclass(kind, asyncio.CancelledError)):
            raise self._verdict from None

    async def _keep(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._rest_s())
                await self._renewed_in_time()
        except (Refusal, CallerRefused, Unavailable) as verdict:
            self._verdict = verdict
            self._body.cancel()

    def _rest_s(self) -> float:
        left = self.remaining_s
        if left is None:
            return LOOK_S
        if self._at_its_end:
            return left
        return left * SHARE * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # spreads, guards nothing

    async def _renewed_in_time(self) -> None:
        """Tries again through an outage until the life is over.  Raises: Unavailable when it then is."""
        for pause in pauses():
            left = self._timeout_s if self.remaining_s is None else self.remaining_s
            try:
                # Half of what is left, so that one lost answer does not take all of it.
                await self._renewed(max(LEAST_S, min(self._timeout_s, left / 2)))
            except Unavailable:
                if left <= 0:
                    raise
                await asyncio.sleep(min(pause, left))
            else:
                return

    async def _renewed(self, timeout_s: float) -> None:
        """The life is counted from before the request: never longer than it is."""
        before, asked = self._ends, self._now()
        self.view = await self._renew(timeout_s)
        left = self.view.remaining_ms
        self._ends = None if left is None else asked + left / 1000
        gained = before is None or self._ends is None or self._ends > before
        self._at_its_end = self.view.capped or not gained
