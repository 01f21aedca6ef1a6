"""The text of a token: `<dressing><28 characters>.<43 characters>`, and the handle that it stands for.

The 28 are base64url of one byte of partition and 20 random bytes; the 43 an HMAC-SHA256 over them.  So a forged
text is refused before the store is asked; the store, which knows only a hash, opens nothing; and the signing key
alone opens nothing.  The dressing (`tl_`, `stg_`, `secret-token:`) is outside the signature: any of them opens.
"""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache

from itsdangerous import BadSignature, Signer

from service.core.errors import BadInput, Malformed, Missing, Refusal

RANDOM_BYTES = 20  # 160 bits; 21 bytes with the partition, so base64 needs no padding
SALT = b"tokenlife.token"
BODY, SIGNATURE = 28, 43
# A token has one text.  Decoders also take '+' for '-' and '/' for '_'; and as 43 characters hold 258 bits for the 256
# of the signature, of four last characters that decode alike one is ours.
SIGNED = re.compile(r"[A-Za-z0-9_-]{28}\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
DRESSING = re.compile(r"[a-z][a-z-]{0,15}[_:]")
REMEMBERED = 65_536  # texts whose signature was verified lately: a known text costs no HMAC (10 us with two keys)

Opener = Callable[[str], str]


class Texts:
    """Makes and opens texts.  `keys` newest first: the first signs, all verify, so that keys rotate."""

    def __init__(self, keys: Sequence[str], dressing: str = "tl_") -> None:
        self.dressing = dressing
        self._others: list[Opener] = []
        self.rekey(keys)

    def rekey(self, keys: Sequence[str]) -> None:
        # Its `key_derivation="hmac"` would derive each key anew for each text: 4 of 14 us for two.
        derived = [hmac.digest(key.encode(), SALT, hashlib.sha256) for key in reversed(keys)]
        self._signer = Signer(derived, key_derivation="none", digest_method=hashlib.sha256)
        # Anew: what a key verified that is gone is no longer known.
        self._opened: Opener = lru_cache(REMEMBERED)(self._verify)
        self.keyed = object()  # another one with each change of the keys

    def mint(self, partition: int, dressing: str | None = None) -> tuple[str, str]:
        """A new text and its handle."""
        body = bytes([partition]) + secrets.token_bytes(RANDOM_BYTES)
        signed = self._signer.sign(urlsafe_b64encode(body)).decode()
        return (dressing or self.dressing) + signed, handle(body)

    def open(self, text: str | None) -> str:
        """The handle of a text.  Raises `Missing`, or `Malformed` for what was not signed here."""
        if not text:
            raise Missing
        return self._opened(text)

    def open_each(self, texts: Sequence[str]) -> list[str] | list[str | Refusal]:
        """The handle of each, or why there is none."""
        try:
            return list(map(self._opened, texts))  # nearly always: a third of what asking one by one takes
        except Malformed:
            return [self._try_open(text) for text in texts]

    def parts(self, text: str) -> tuple[str, str]:
        """The dressing and the secret of a text of ours.  Raises `BadInput` for other kinds: they cannot be rotated."""
        if self._unsigned(text) is None:
            raise BadInput("token", "is of a kind that cannot be rotated")
        return text[: -BODY - SIGNATURE - 1], text[-BODY - SIGNATURE - 1 : -SIGNATURE - 1]

    def also(self, opener: Opener) -> None:
        """Adds a kind of text whose form is not ours (a JWT): `opener` gives its handle or raises `Malformed`."""
        self._others.append(opener)

    def _try_open(self, text: str) -> str | Refusal:
        try:
            return self.open(text)
        except (Missing, Malformed) as refusal:
            return refusal

    def _verify(self, text: str) -> str:
        for opener in self._others:
            with suppress(Malformed):
                return opener(text)
        body = self._unsigned(text)
        if body is None:
            raise Malformed
        return handle(body)

    def _unsigned(self, text: str) -> bytes | None:
        dressing, signed = text[: -BODY - SIGNATURE - 1], text[-BODY - SIGNATURE - 1 :]
        if not DRESSING.fullmatch(dressing) or not SIGNED.fullmatch(signed):
            return None
        try:
            return urlsafe_b64decode(self._signer.unsign(signed))
        except (BadSignature, ValueError):
            return None


def handle(body: bytes) -> str:
    """The UUID (version 8, RFC 9562 section 5.8) of a text: its partition, then 114 bits of SHA-256."""
    digest = bytearray(body[:1] + hashlib.sha256(body).digest()[:15])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return dashed(digest.hex())


def new_handle(partition: int) -> str:
    """Of a token whose text, if it has one, is not of our form."""
    return handle(bytes([partition]) + secrets.token_bytes(RANDOM_BYTES))


def partition_in(handle_: str) -> int:
    return int(handle_[:2], 16)


def stand_in(partition: int, secret: str) -> str:
    """The handle of a secret that was not made here (the admin token of the settings)."""
    return handle(bytes([partition]) + hashlib.sha256(secret.encode()).digest()[:RANDOM_BYTES])


def dashed(digits: str) -> str:
    """32 hexadecimal digits as a UUID."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def partition_of(tenant: str, owner: str, partitions: int) -> int:
    """Where everything of one owner lives."""
    digest = hashlib.sha256(f"{tenant}\0{owner}".encode()).digest()
    return int.from_bytes(digest[:4]) % partitions
