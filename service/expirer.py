"""The sweep loop: marks what has expired when it is due, and purges what nobody has to remember.

Validation never depends on it: a token is refused from its last millisecond on, swept or not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from service.core.errors import Unavailable
from service.core.store import Pass
from service.core.watch import SILENT, Watch

LIMIT = 100  # tokens a pass; one holds the store 1.5 to 2 ms, and a use waits for two at most
ABREAST = 2  # passes under way in a backlog: the store works on one while the service hears of the other (-20 %)
REST_MS = 10  # between passes without a backlog: at 1,000 expiries a second each then marks ten, not one
AWAY_S = 0.5  # between tries while the store cannot answer

log = logging.getLogger("service.expirer")


Sweep = Callable[[int], Awaitable[Pass]]


async def run(sweep: Sweep, tick_ms: int, stopping: asyncio.Event, watch: Watch = SILENT) -> None:
    """Sweeps until asked to stop.  Sleeps until the next thing is due, at most a tick: what another process issues
    with a short life is seen no later than that."""
    away, stopped = False, asyncio.ensure_future(stopping.wait())
    while not stopping.is_set():
        try:
            done = await _pass(sweep, watch)
            if done.looked_at >= LIMIT:
                done = await _backlog(sweep, watch, stopping)
        except Unavailable as error:
            if not away:
                log.warning("sweeping pauses: the store cannot answer", extra={"reason": error.reason})
            away, pause = True, AWAY_S
        except Exception as error:  # nobody waits for this loop: if it ended, every later event would be missing
            log.error("a sweep failed", exc_info=error)
            pause = AWAY_S
        else:
            away = False
            wait_ms = tick_ms if done.wait_ms is None else min(tick_ms, done.wait_ms)
            pause = max(wait_ms, REST_MS) / 1000
        await asyncio.wait({stopped}, timeout=pause)  # a timeout around it would cancel it each time


async def _pass(sweep: Sweep, watch: Watch) -> Pass:
    done = await sweep(LIMIT)
    tell(done, watch)
    return done


async def _backlog(sweep: Sweep, watch: Watch, stopping: asyncio.Event) -> Pass:
    """Sweeps until a pass takes all that is due, or until asked to stop; gives the last pass."""

    async def through() -> Pass:
        while (done := await _pass(sweep, watch)).looked_at >= LIMIT and not stopping.is_set():
            pass
        return done

    # Where one fails, the other is not left behind.
    for end in await asyncio.gather(*[through() for _ in range(ABREAST)], return_exceptions=True):
        if isinstance(end, BaseException):
            raise end
        done = end
    return done


def tell(done: Pass, watch: Watch) -> None:
    watch.swept(done.marked, done.rescored, done.purged, done.evicted, done.lags_ms)
    if done.evicted:
        log.warning("the store evicted live tokens", extra={"evicted": done.evicted})
