"""What one takes in the store, every index included: a live token, the record of one that ended, a rival's session."""

import uuid

import msgspec

from service.core.token import Draft, Words
from tests.bench import bulk, servers
from tests.bench.bulk import NO_WORDS
from tests.bench.parts import parts
from tests.bench.rivals.rival import Rival, installed

_FIRST = 500  # issued before the first reading, so that what exists once is not counted
SESSIONS = 4_000  # of each rival
LIFE_MS = 1_800_000


class Memory(msgspec.Struct):
    store: str
    allocator: str  # whose sizes decide what a small thing takes
    tokens: int
    live: float  # bytes a token, without the streams
    parts: dict[str, float]  # of these
    bare: float  # of one without metadata, which knows its owner and nothing else, as a rival's session its user
    retained: float  # bytes the record of an ended one
    stream_bytes: int  # all event streams; they are trimmed, so this does not grow with the tokens
    rivals: dict[str, float]  # bytes a session


def measure(binary: str, count: int) -> Memory:
    """Fill a store of its own and compare its `used_memory` before and after."""
    with servers.Store(binary) as store:
        bulk.say(f"memory on {store.name}")
        handles, live, before = _filled(store, count, _WORDS)
        pieces = parts(store, handles, live)
        bulk.revoke(store, handles)
        retained = _without_streams(store) - before
        with servers.Store(binary) as fresh:
            _, bare, _ = _filled(fresh, count, NO_WORDS)
        streams, rivals = store.stream_bytes(), _rivals(store)
        return Memory(store.name, store.allocator, count, live, pieces, bare, retained / count, streams, rivals)


def _filled(store: servers.Store, count: int, words: Words) -> tuple[list[str], float, int]:
    """The handles of so many tokens, the bytes that each takes, and the bytes that were there before."""
    bulk.revoke(store, bulk.issue(store, _drafts(_FIRST), words))
    before = _without_streams(store)
    handles = bulk.issue(store, _drafts(count), words)
    return handles, (_without_streams(store) - before) / count, before


def _rivals(store: servers.Store) -> dict[str, float]:
    """Of a session that knows its user, and nothing else."""
    found = {}
    for kind in installed():
        with Rival(kind, store) as rival:
            rival.sessions(_FIRST)
            found[kind.name] = rival.used_bytes(SESSIONS)
    return found


def _without_streams(store: servers.Store) -> int:
    return store.used_bytes() - store.stream_bytes()


_WORDS = Words(metadata=msgspec.Raw(b'{"ip":"203.0.113.77","agent":"Firefox on Linux"}'))


def _drafts(count: int) -> list[Draft]:
    """An owner of 36 bytes, met once, and two metadata fields."""
    return [Draft(owner=str(uuid.uuid4()), life_ms=LIFE_MS) for _ in range(count)]
