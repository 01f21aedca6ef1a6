"""The sweep loop: marks what has expired when it is due, and purges what nobody has to remember.

Validation never depends on it: a token is refused from its last millisecond on, swept or not.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from service.core.errors import Unavailable
from service.core.store import Pass
from service.core.watch import SILENT, Watch

# Tokens of a pass: what a backlog is taken off at, PACE a millisecond since the pass before, so that 100,000 are marked
# in 2.9 s and the store has time for uses besides.  A use waits for a pass at most, so passes are short: in interleaved
# bursts of 10,000 that end at once 64 uses in flight kept 72 % of their rate (62 to 83) with 20 tokens at least, 65
# with 40, 64 with 100.
PACE, LEAST, MOST = 35, 20, 500
REST_MS = 10  # between passes without a backlog: at 1,000 expiries a second each then marks ten, not one
AWAY_S = 0.5  # between tries while the store cannot answer

log = logging.getLogger("service.expirer")


Sweep = Callable[[int], Awaitable[Pass]]


async def run(sweep: Sweep, tick_ms: int, stopping: asyncio.Event, watch: Watch = SILENT) -> None:
    """Sweeps until asked to stop.  Sleeps until the next thing is due, at most a tick: what another process issues
    with a short life is seen no later than that."""
    away, stopped = False, asyncio.ensure_future(stopping.wait())
    clock = asyncio.get_running_loop().time
    began = clock()
    while not stopping.is_set():
        limit, began = room(clock() - began), clock()
        try:
            done = await sweep(limit)
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
            pause = ahead(clock() - began) if done.looked_at >= limit else max(wait_ms, REST_MS) / 1000
        # Behind the pace none: the store works on the next pass while this process answers uses.  With a turn of the
        # loop between passes each of the two waited while the other was busy: 4.2 s instead of 3.2, and no more uses.
        if pause:
            await asyncio.wait({stopped}, timeout=pause)  # a timeout around it would cancel it each time


def room(seconds: float) -> int:
    """How many tokens a pass may look at, so long after the pass before it began."""
    return min(MOST, max(LEAST, int(seconds * 1000 * PACE)))


def ahead(seconds: float) -> float:
    """How long (s) after a full pass that took so long the next one is due: a fast store has time left for uses."""
    return max(0.0, LEAST / PACE / 1000 - seconds)


def tell(done: Pass, watch: Watch) -> None:
    watch.swept(done)
    if done.evicted:
        log.warning("the store evicted live tokens", extra={"evicted": done.evicted})
