"""Texts that must be shown again are kept sealed: AEAD under a key made from the signing keys and a context.

The context is what the reader must bring: the handle for a recoverable token, the old text's secret for the
successor of a rotation, the header of an idempotent request.  A copy of the store opens none of them.
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE = 12  # bytes; each derived key seals a handful of times, far below the 2^32 that random nonces allow


class Sealer:
    """`keys` newest first: the first seals, all open."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.rekey(keys)

    def rekey(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def seal(self, secret: str, purpose: str, context: str) -> str:
        nonce = secrets.token_bytes(NONCE)
        box = _cipher(self._keys[0], purpose, context).encrypt(nonce, secret.encode(), purpose.encode())
        return urlsafe_b64encode(nonce + box).decode()

    def open(self, sealed: str, purpose: str, context: str) -> str | None:
        """The secret, or None when no key of ours made the seal (its key was removed)."""
        box = urlsafe_b64decode(sealed)
        for key in self._keys:
            try:
                opened = _cipher(key, purpose, context).decrypt(box[:NONCE], box[NONCE:], purpose.encode())
            except InvalidTag:
                continue
            return opened.decode()
        return None


def _cipher(key: bytes, purpose: str, context: str) -> AESGCM:
    kdf = HKDF(SHA256(), length=32, salt=context.encode(), info=b"tokenlife " + purpose.encode())
    return AESGCM(kdf.derive(key))
