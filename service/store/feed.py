"""Reads the event streams: history by cursor, and what comes through one reader per process.

The one reader blocks on all streams and keeps the latest events in a ring; whoever follows is served from the ring
once it has caught up, so that 5,000 followers cost the store no more than one, and this process little that want
nothing of what comes.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis

from service.core.errors import Gone, Unavailable
from service.core.events import FRESH, START, UNREADABLE, Event, Places, Position, Wanted
from service.store import keys, record
from service.store.link import FAILURES, Link
from service.store.news import CHUNK, Ear, Ears, Heard, Ring
from service.store.nodes import Nodes

BLOCK_MS = 1_000  # the longest wait of the reader before it looks whether anybody still follows
POLL_S = 0.05  # between two looks on a cluster, where no call can wait for the streams of more than one partition
PAUSE_S = 0.5  # between tries while the store is away
NOBODY = record.decode("", b"r 0000000000000 0000000000000 0000000000 - - - - - -\n\n0000000000000000\n{}", 0)

Entry = tuple[bytes, dict[bytes, bytes]]

log = logging.getLogger("service.store")


class RedisFeed:
    """Implements `service.core.events.Feed`.  `blocking` are nodes whose timeout is longer than BLOCK_MS."""

    def __init__(self, link: Link, blocking: Nodes, partitions: int) -> None:
        self.partitions = partitions
        self._link, self._blocking = link, blocking
        self._streams = [keys.events(partition) for partition in range(partitions)]
        self._ring: Ring | None = None
        self._ears = Ears()
        self._reader: asyncio.Task[None] | None = None
        self._closing = False
        self._looking = asyncio.Lock()
        self._next_look: asyncio.Task[Places] | None = None

    async def now(self) -> Places:
        """All who ask while a look is under way share the next one: of that one they cannot tell when it looked."""
        self._next_look = self._next_look or asyncio.ensure_future(self._look())
        return await asyncio.shield(self._next_look)

    async def _look(self) -> Places:
        async with self._looking:
            self._next_look = None
            return Places(tuple(FRESH if end == START else end for end in await self._ends()))

    async def check(self, after: Places) -> None:
        if self._ring is None or not self._ring.covers(after):
            await self.read(after, Wanted(), 1)

    async def read(self, after: Places, wanted: Wanted, limit: int) -> tuple[list[Event], Places]:
        rows = await self._each("xrange", [(f"({ms}-{seq}", "+", limit) for ms, seq in after.each])
        # Asked afterwards: what was trimmed away in between would be missed and nobody would know.
        first = await self._each("xrange", [("-", "+", 1)] * self.partitions)
        lengths = await self._each("xlen", [()] * self.partitions)
        _check_kept(after, [
            _told(0, row[0])[0].position if row and length >= self._link.scripts.events_kept else START
            for row, length in zip(first, lengths, strict=True)
        ])  # fmt: skip
        # Each stream gave as many as all together may: only what is taken is decoded.
        told = [one for partition, row in enumerate(rows) for entry in row for one in _told(partition, entry)]
        fresh = sorted(one for one in told if one.position > after.each[one.partition])
        events = list(map(_event, fresh[:limit]))
        for event in events:
            after = after.past(event)
        return [event for event in events if wanted.covers(event)], after

    async def follow(self, after: Places, wanted: Wanted, idle_s: float) -> AsyncGenerator[list[Heard], None]:
        loop = asyncio.get_running_loop()
        ear = Ear(wanted, after)
        self._ears.add(ear)
        told = loop.time()
        try:
            while not self._closing:
                self._reader = self._reader or asyncio.ensure_future(self._run())
                fresh = await self._fresh(ear)
                chunk = [one for one in fresh if wanted.covers(one[0])]
                # What others want is no news to this one: without a clock of its own it would hear nothing at all.
                if chunk or not (fresh or await ear.wait(told + idle_s)):
                    yield chunk
                    told = loop.time()
        finally:
            self._ears.remove(ear)

    async def close(self) -> None:
        """Ends all that follow, at once, and the reader within BLOCK_MS."""
        self._closing = True
        self._ears.wake_all()
        if self._reader is not None:
            await asyncio.wait({self._reader})
        await self._blocking.close()

    async def _fresh(self, ear: Ear) -> list[Heard]:
        """What it has not looked at: from the ring if that has all of it, else from the store."""
        if self._ring is None:
            return []  # it is about to be there, and then all are woken
        heard = ear.look(self._ring)
        if heard is None:
            heard = []
            for event in (await self.read(ear.after, Wanted(), CHUNK))[0]:
                ear.after = ear.after.past(event)
                heard.append((event, ear.after))
        return heard

    async def _run(self) -> None:
        while self._ears and not self._closing:
            try:
                if self._ring is None:
                    self._ring = Ring(Places(tuple(await self._ends())))
                    self._ears.wake_all()
                await (self._poll if self._blocking.many else self._block)(self._ring)
            except Exception as error:  # whatever it was: had it ended, all streams would be silent
                if not isinstance(error, (*FAILURES, Unavailable)):
                    log.exception("the reader of the events met a fault of ours")
                await asyncio.sleep(PAUSE_S)
        self._reader = self._ring = None

    async def _block(self, ring: Ring) -> None:
        places: dict[Any, Any] = {
            name: f"{ms}-{seq}" for name, (ms, seq) in zip(self._streams, ring.end.each, strict=True)
        }
        [node] = await self._blocking.each()
        answer: Any = await node.redis.xread(places, count=CHUNK, block=BLOCK_MS)
        events: list[Event] = []
        for name, rows in answer.items() if isinstance(answer, dict) else answer or ():
            partition = self._streams.index(name.decode())
            # RESP3 wraps the entries of a stream once more than RESP2 does.
            entries = rows[0] if rows and isinstance(rows[0], list) else rows
            events += _events(partition, entries)
        await self._ears.tell(ring, events)

    async def _poll(self, ring: Ring) -> None:
        rows = await self._each("xrange", [(f"({ms}-{seq}", "+", CHUNK) for ms, seq in ring.end.each])
        await self._ears.tell(ring, [event for partition, row in enumerate(rows) for event in _events(partition, row)])
        if not any(rows):
            await asyncio.sleep(POLL_S)

    async def _ends(self) -> list[Position]:
        """The last entry of each stream; START where there is none."""
        rows = await self._each("xrevrange", [("+", "-", 1)] * self.partitions)
        return [_position(row[0][0]) if row else START for row in rows]

    async def _each(self, command: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """One command on every stream, in one round trip; on a cluster in one a partition, all in flight together."""
        asked = list(zip(self._streams, arguments, strict=True))
        if not self._link.nodes.many:
            return await self._asked(command, asked)
        return [row for [row] in await asyncio.gather(*[self._asked(command, [one]) for one in asked])]

    async def _asked(self, command: str, asked: Sequence[tuple[str, tuple[Any, ...]]]) -> list[Any]:
        def call(redis: Redis) -> Awaitable[list[Any]]:
            pipeline = redis.pipeline(transaction=False)
            for stream, args in asked:
                getattr(pipeline, command)(stream, *args)
            return pipeline.execute()

        return await self._link.at(asked[0][0], call)


def _position(entry_id: bytes) -> Position:
    ms, _, seq = entry_id.partition(b"-")
    return int(ms), int(seq)


class _Told(NamedTuple):
    """What an entry says of one token, not yet decoded."""

    position: Position
    partition: int
    kind: bytes
    rest: bytes
    record: bytes


def _told(partition: int, entry: Entry) -> list[_Told]:
    """The transitions of an entry, which has the place of the last of them; see `append` in the prelude."""
    (ms, last), (word, kind), *told = _position(entry[0]), *entry[1].items()
    if word != b"kind" or not 0 < len(told) <= last + 1:  # a hand, or a program of another kind, wrote it
        return [_Told((ms, last), partition, b"", b"", b"")]
    first = last + 1 - len(told)
    return [_Told((ms, first + n), partition, kind, rest, record) for n, (rest, record) in enumerate(told)]


def _events(partition: int, entries: Sequence[Entry]) -> Iterator[Event]:
    return (_event(one) for entry in entries for one in _told(partition, entry))


def _event(one: _Told) -> Event:
    """One that cannot be read is passed over: else nobody would get past it."""
    try:
        kind = one.kind.decode()
        token = record.decode_event(kind, keys.handle(one.partition, one.rest.decode()), one.record, one.position[0])
    except Exception as error:  # whatever was written
        where = {
            "stream": keys.events(one.partition),
            "entry": "{}-{}".format(*one.position),
            "error": type(error).__name__,
        }
        log.error("an event cannot be read", extra=where)
        kind, token = UNREADABLE, NOBODY
    return Event(partition=one.partition, position=one.position, kind=kind, token=token)


def _check_kept(after: Places, first: list[Position]) -> None:
    """A reader whose own last entry was trimmed away may have missed what was behind it.

    first: the oldest entry of each stream that may have been trimmed; of the others, START.
    """
    if any(START < place < kept for place, kept in zip(after.each, first, strict=True)):
        oldest = tuple(START if place < kept else place for place, kept in zip(after.each, first, strict=True))
        raise Gone(Places(oldest).cursor())
