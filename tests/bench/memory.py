"""What one live token takes in the store, every index included; the event streams are told apart."""

import uuid

import msgspec

from tests.bench import calls, servers

_FIRST = 500  # issued before the first reading, so that what exists once is not counted


class Memory(msgspec.Struct):
    store: str
    tokens: int
    bytes_per_token: float  # without the streams
    stream_bytes: int  # all of them; they are trimmed, so this does not grow with the tokens


def measure(binary: str, count: int) -> Memory:
    """Issue `count` tokens on a store of their own and compare its `used_memory`."""
    with servers.Store(binary) as store, servers.service(store) as server:
        calls.issue(server.port, [_body() for _ in range(_FIRST)])
        used, streams = store.used_bytes(), store.stream_bytes()
        calls.issue(server.port, [_body() for _ in range(count)])
        grown, streams = store.used_bytes() - used, store.stream_bytes() - streams
        return Memory(store.name, count, (grown - streams) / count, store.stream_bytes())


def _body() -> dict[str, object]:
    """An owner of 36 bytes, met once, and two metadata fields."""
    return {"owner": str(uuid.uuid4()), "metadata": {"ip": "203.0.113.77", "agent": "Firefox on Linux"}}
