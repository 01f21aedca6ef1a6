"""Looks whether the signing keys have changed, so that they rotate without a restart."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from service.core.ring import Ring
from service.settings import SettingsError

LOOK_S = 1.0  # between two looks at a small file; a cluster takes a minute to bring it to all of its pods

Keys = Sequence[str]

log = logging.getLogger("service.rekeyer")


async def run(read: Callable[[], Keys], ring: Ring, stopping: asyncio.Event) -> None:
    """Until asked to stop.  Keys that cannot be read, or do not fit, change nothing; a sentence tells of them once."""
    before, complaint = ring.keys, ""
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), LOOK_S)
        try:
            found, wrong = tuple(read()), ""
        except SettingsError as error:
            found, wrong = ring.keys, str(error)
        if wrong and wrong != complaint:
            log.error("the signing keys stay as they were: %s", wrong)
        # A file may be read while it is written: what stands in it counts when it was the same twice.
        if found and found == before != ring.keys:
            ring.turn(found)
            log.info("the signing keys have changed", extra={"keys": len(found)})
        before, complaint = found, wrong
