"""Idempotent issuing: the same key and body answer the same token, however often, whatever crashed in between.

The text and its handle are chosen and written down, sealed, before anything is issued; issuing under a chosen
handle can be repeated.  So there is no moment at which a repeat would make a second token, and nobody has to be
told to wait for the first request.
"""

import hashlib
from typing import Protocol

import msgspec

from service.core.errors import Conflict
from service.core.lifecycle import Tokens
from service.core.token import Draft, Issued

KEPT_MS = 86_400_000  # a day


class ReplayStore(Protocol):
    """Keeps a value under a digest for a while."""

    async def claim(self, digest: str, value: bytes, kept_ms: int) -> bytes | None:
        """Writes the value, or gives the one that is there already."""

    async def settle(self, digest: str, value: bytes) -> None:
        """Replaces the value; its time goes on."""


class Claim(msgspec.Struct, frozen=True):
    """`request` is a digest of the body; `sealed` opens with the key alone: the text, then the whole answer."""

    request: str
    id: str
    sealed: str
    settled: bool = False


class Replays:
    def __init__(self, store: ReplayStore, tokens: Tokens) -> None:
        self._store, self._tokens = store, tokens

    async def issue(self, scope: str, key: str, request: bytes, draft: Draft, dressing: str | None = None) -> Issued:
        """scope: whose key it is (a caller's handle).  Raises `Conflict` for a key that came with another body."""
        draft = self._tokens.rules.settle(draft)
        text, id_ = self._tokens.texts.mint(self._tokens.store.partition(draft.tenant, draft.owner), dressing)
        digest, print_ = _digest(f"{scope}\0{key}".encode()), _digest(request)
        claim = Claim(print_, id_, self._seal(key, text))
        found = await self._store.claim(digest, msgspec.json.encode(claim), KEPT_MS)
        if found is not None:
            claim = msgspec.json.decode(found, type=Claim)
            if claim.request != print_:
                raise Conflict("idempotency_key_reused", "This Idempotency-Key came with another request before.")
            if claim.settled:
                return msgspec.json.decode(self._open(key, claim), type=Issued)
            text = self._open(key, claim)
        issued = Issued(await self._tokens.issue_as(claim.id, draft, text), text)
        sealed = self._seal(key, msgspec.json.encode(issued).decode())
        await self._store.settle(digest, msgspec.json.encode(Claim(print_, claim.id, sealed, settled=True)))
        return issued

    def _seal(self, key: str, secret: str) -> str:
        return self._tokens.sealer.seal(secret, "replay", key)

    def _open(self, key: str, claim: Claim) -> str:
        opened = self._tokens.sealer.open(claim.sealed, "replay", key)
        if opened is None:
            raise Conflict("idempotency_key_lost", "The answer was sealed under a signing key that was removed since.")
        return opened


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
