"""The sweep loop: marks what has expired when it is due, and purges what nobody has to remember.

Validation never depends on it: a token is refused from its last millisecond on, swept or not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from service.core.errors import Unavailable
from service.core.store import Pass
from service.core.watch import SILENT, Watch

# Tokens a pass; one holds the store 4 to 5 ms, and a use waits for one at most.  What the uses lose to a backlog is the
# same at any pace (2 s of them to 100,000 tokens, in passes of 50 to 250), so the sooner it is over, the better.
LIMIT = 250
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
            done = await sweep(LIMIT)
        except Unavailable as error:
            if not away:
                log.warning("sweeping pauses: the store cannot answer", extra={"reason": error.reason})
            away, pause = True, AWAY_S
        except Exception as error:  # nobody waits for this loop: if it ended, every later event would be missing
            log.error("a sweep failed", exc_info=error)
            pause = AWAY_S
        else:
            away = False
            tell(done, watch)
            wait_ms = tick_ms if done.wait_ms is None else min(tick_ms, done.wait_ms)
            pause = 0.0 if done.looked_at >= LIMIT else max(wait_ms, REST_MS) / 1000
        await _rest(stopped, pause)


def tell(done: Pass, watch: Watch) -> None:
    watch.swept(done.marked, done.rescored, done.purged, done.evicted, done.lags_ms)
    if done.evicted:
        log.warning("the store evicted live tokens", extra={"evicted": done.evicted})


async def _rest(stopped: "asyncio.Future[Any]", seconds: float) -> None:
    """A pause that ends at once when the service stops; even the shortest lets others run."""
    if seconds == 0.0:
        await asyncio.sleep(0)
    else:
        await asyncio.wait({stopped}, timeout=seconds)  # a timeout around it would cancel it each time
