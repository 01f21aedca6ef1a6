"""What a request says, known by its bytes.

Callers that keep their connections send the same bytes again and again: taking HTTP, JSON and headers apart each time
is a third of what a use costs.  What the same bytes said from the beginning of a message on, they say again; what is
true of the token is asked anew each time.
"""

from typing import Any, Generic, TypeVar

from aiohttp.http import RawRequestMessage

T = TypeVar("T")

MOST = 16_384  # requests in each of two generations
LONGEST = 1_024  # bytes of one; so a worker keeps 51 MB at most, and 23 MB of the 200 bytes that a use has
HEAD_END = b"\r\n\r\n"


class Recall(Generic[T]):
    """Forgets what was not asked for since as many others came: two generations cost less than an order of all."""

    def __init__(self) -> None:
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}

    def get(self, data: bytes) -> T | None:
        known = self._young.get(data)
        if known is None:
            known = self._old.get(data)
            if known is not None:
                self.keep(data, known)
        return known

    def keep(self, data: bytes, known: T) -> None:
        if len(data) > LONGEST:
            return
        if len(self._young) >= MOST:
            self._old, self._young = self._young, {}
        self._young[data] = known


def is_whole(data: bytes, message: Any, payload: Any) -> bool:
    """These bytes end where this message ends, the only one that was read in them: nothing of a next one is left.

    Told by the length of a body that is as it was sent: neither chunked nor encoded.
    """
    return (
        isinstance(message, RawRequestMessage)
        and payload.is_eof()
        and not (message.chunked or message.compression or message.upgrade or message.should_close)
        and data.find(HEAD_END) + len(HEAD_END) + payload.total_bytes == len(data)
    )
