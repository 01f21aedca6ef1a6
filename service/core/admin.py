"""The admin token of the settings: a token whose text need not be one of ours."""

from hmac import compare_digest

from service.core.callers import ADMIN, OPERATORS
from service.core.errors import Malformed
from service.core.store import Store
from service.core.text import Texts, stand_in
from service.core.token import ACTIVE, SERVICE, Draft, Words

OWNER = "admin"


class Admin:
    """`texts` opens it from now on."""

    def __init__(self, text: str, texts: Texts, store: Store) -> None:
        self._text, self._store = text, store
        self._handle = stand_in(store.partition(OPERATORS, OWNER), text)
        texts.also(self._open)

    async def exists(self) -> bool:
        """Whether it is there, issued now if it never was; False: it was revoked."""
        draft = Draft(owner=OWNER, tenant=OPERATORS, type=SERVICE, life_ms=None, scopes=(ADMIN,))
        token = await self._store.issue(self._handle, draft, Words("the admin token of the settings"))
        return token.state == ACTIVE

    def _open(self, presented: str) -> str:
        # A header may hold halves of surrogate pairs: bytes that are not UTF-8.
        if not compare_digest(presented.encode(errors="surrogatepass"), self._text.encode()):
            raise Malformed
        return self._handle
