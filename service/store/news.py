"""What came last, and who is to hear of it: a ring of events, and the ears of those who follow.

An event wakes only those who want it, a few at a time: to wake 5,000 readers at once, for what most of them do not
even want, once kept the loop from everything else for seconds.
"""

import asyncio
from collections import defaultdict

from service.core.events import Event, Places, Wanted

KEPT = 10_000  # events: what a follower may lag behind before it has to read from the store again
CHUNK = 1_000  # events that a follower takes at once
SLICE = 50  # ears that are woken before others have their turn: 2 ms

Heard = tuple[Event, Places]  # the event, and the places behind it


class Ring:
    """The latest events of all partitions, from `start` on, numbered as they came."""

    def __init__(self, start: Places) -> None:
        self.start = self.end = start
        self.passed = 0
        self._heard: list[Heard] = []

    def add(self, event: Event) -> None:
        self.end = self.end.past(event)
        self._heard.append((event, self.end))
        self.passed += 1
        if len(self._heard) > 2 * KEPT:
            self.start = self._heard[KEPT - 1][1]
            del self._heard[:KEPT]

    def covers(self, after: Places) -> bool:
        return self.start.merged(after) == after

    def behind(self, after: Places) -> list[Heard]:
        return [one for one in self._heard if one[0].position > after.each[one[0].partition]][:CHUNK]

    def since(self, number: int) -> list[Heard] | None:
        """What came behind as many; None when some of it has left the ring."""
        first = len(self._heard) - (self.passed - number)
        return None if first < 0 else self._heard[first : first + CHUNK]


class Ear:
    """One who follows.  `after`: the places behind what it has looked at, as far as it is known."""

    def __init__(self, wanted: Wanted, after: Places) -> None:
        self.wanted, self.after = wanted, after
        self._floor: Places | None = None  # where it began to listen to the ring
        self._level = True  # the ring had all that it had read from the store
        self._mark = 0  # how many of the ring it has looked at, or need not
        self._first: int | None = None  # the number of the first that it has not looked at and may want
        self._news = asyncio.Event()

    def wake(self) -> None:
        self._news.set()

    def hear(self, first: int, before: Places) -> None:
        """Of those that came behind as many, some are for it, and none of the others that it has not looked at."""
        if self._first is None and self._floor is not None:
            self._first = max(first, self._mark)
            self.after = before.merged(self.after)
        self.wake()

    async def wait(self, until: float) -> bool:
        """False once the time is over, news or not."""
        if asyncio.get_running_loop().time() >= until:
            return False
        try:
            async with asyncio.timeout_at(until):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def look(self, ring: Ring) -> list[Heard] | None:
        """What it has not looked at, wanted or not; None when the ring does not have all of it."""
        self._news.clear()
        if self._floor is None:
            return self._join(ring)
        if self._first is None:
            return []
        fresh = ring.since(self._first)
        if fresh is None:
            self._floor = self._first = None
            return None
        self._mark = self._first + len(fresh)
        self._first = self._mark if self._mark < ring.passed else None
        return self._told(fresh)

    def _join(self, ring: Ring) -> list[Heard] | None:
        if not ring.covers(self.after):
            return None
        fresh = ring.behind(self.after)
        if len(fresh) < CHUNK:
            self._floor, self._mark, self._first = self.after, ring.passed, None
            self._level = self.after.merged(ring.end) == ring.end
        told = [(event, self.after.merged(behind)) for event, behind in fresh]
        if told:
            self.after = told[-1][1]
        return told

    def _told(self, fresh: list[Heard]) -> list[Heard]:
        """What the store told before the ring did is not told again, nor does a place behind it go back."""
        self.after = self.after.merged(fresh[-1][1]) if fresh else self.after
        if self._level or self._floor is None:
            return fresh
        floor = self._floor
        return [
            (event, floor.merged(behind)) for event, behind in fresh if event.position > floor.each[event.partition]
        ]


class Ears:
    """All who follow, by what they want."""

    def __init__(self) -> None:
        self._by: defaultdict[Wanted, set[Ear]] = defaultdict(set)

    def __bool__(self) -> bool:
        return bool(self._by)

    def add(self, ear: Ear) -> None:
        self._by[ear.wanted].add(ear)

    def remove(self, ear: Ear) -> None:
        self._by[ear.wanted].remove(ear)
        if not self._by[ear.wanted]:
            del self._by[ear.wanted]

    def wake_all(self) -> None:
        for ears in self._by.values():
            for ear in ears:
                ear.wake()

    async def tell(self, ring: Ring, events: list[Event]) -> None:
        """Adds these to the ring, and wakes who may want some of them."""
        first: dict[Wanted, tuple[int, Places]] = {}
        for event in events:
            for wanted in Wanted.all_covering(event):
                if wanted in self._by:
                    first.setdefault(wanted, (ring.passed, ring.end))
            ring.add(event)
        woken = [(ear, number, before) for wanted, (number, before) in first.items() for ear in self._by[wanted]]
        for place, (ear, number, before) in enumerate(woken):
            if place and place % SLICE == 0:
                await asyncio.sleep(0)
            ear.hear(number, before)
