"""Cursors of lists: opaque, signed, and bound to the list that they were made for."""

import hashlib
from collections.abc import Sequence

import msgspec
from itsdangerous import BadData, URLSafeSerializer

from service.core.errors import BadInput
from service.core.store import Filter


class Place(msgspec.Struct, frozen=True):
    """Where a page begins: strictly beyond a token's place, forwards or back."""

    at: int
    back: bool = False


class Cursors:
    """`keys` newest first."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.rekey(keys)

    def rekey(self, keys: Sequence[str]) -> None:
        self._serializer = URLSafeSerializer(
            list(reversed(keys)),
            salt="tokenlife.cursor",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def make(self, place: Place, which: Filter, *, descending: bool) -> str:
        made = self._serializer.dumps([_print(which, descending), place.at, place.back])
        return made.decode() if isinstance(made, bytes) else made

    def read(self, cursor: str, which: Filter, *, descending: bool) -> Place:
        """Raises `BadInput` for a cursor that is not ours or was made for another list, tenant or order."""
        try:
            print_, at, back = self._serializer.loads(cursor)
        except (BadData, ValueError, TypeError):
            raise BadInput("cursor", "is not a cursor of this service") from None
        if print_ != _print(which, descending):
            raise BadInput("cursor", "belongs to another list: repeat the filters and the order it was made with")
        return Place(at, back)


def _print(which: Filter, descending: bool) -> str:
    return hashlib.sha256(msgspec.json.encode([which, descending])).hexdigest()[:16]
