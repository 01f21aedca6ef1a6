"""Texts that are JWTs, for the contracts that ask for one: HS384 and nothing else, the handle in `jti`.

The store decides whether one lives, as for any other text: `exp` tells its reader when it will end.
"""

import hmac
import re
from collections.abc import Sequence
from typing import Any

import jwt

from service.core.errors import Malformed

ALGORITHM = "HS384"
SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{64}", re.ASCII)  # 64 characters: the 48 bytes of an HMAC-SHA384


class Jwts:
    """`keys` newest first: the first signs, all verify.  They are derived, so that no key has two purposes."""

    def __init__(self, keys: Sequence[str], purpose: str) -> None:
        self._info = f"{purpose} jwt".encode()
        self.rekey(keys)

    def rekey(self, keys: Sequence[str]) -> None:
        self._keys = [hmac.digest(key.encode(), self._info, "sha384") for key in keys]

    def write(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._keys[0], ALGORITHM)

    def read(self, text: str) -> dict[str, Any]:
        """The claims of what was signed here, live or not.  Raises `Malformed`."""
        for key in self._keys if SHAPE.fullmatch(text) else ():
            try:
                # No `verify_exp`: a host's clock decides over no life.
                return jwt.decode(text, key, [ALGORITHM], {"require": ["exp", "jti"], "verify_exp": False})
            except jwt.InvalidTokenError:
                continue
        raise Malformed

    def handle(self, text: str) -> str:
        return str(self.read(text)["jti"])
