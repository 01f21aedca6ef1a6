"""The verbs about one token, by its text or by its handle."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from service.client.answers import TokenView
from service.client.calls import Call, Caller


class Verbs:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def issue(
        self,
        owner: str,
        *,
        tenant: str | None = None,
        type: str | UnsetType = UNSET,
        life_ms: int | None | UnsetType = UNSET,
        ceiling_ms: int | None = None,
        uses: int | None = None,
        sliding: bool = True,
        refreshable: bool = False,
        scopes: Iterable[str] = (),
        description: str | None = None,
        metadata: dict[str, Any] | UnsetType = UNSET,
        recoverable: bool = False,
        idempotency_key: str | None = None,
    ) -> TokenView:
        """The new token with its text.  life_ms None: for ever; unset: the service's default.

        Repeats are safe: each call carries an Idempotency-Key, a random one unless one is given.
        """
        asked = {
            "owner": owner, "tenant": tenant, "type": type, "life_ms": life_ms, "ceiling_ms": ceiling_ms,
            "uses": uses, "sliding": sliding, "refreshable": refreshable, "scopes": [*scopes],
            "description": description, "metadata": metadata, "recoverable": recoverable,
        }  # fmt: skip
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        return await self._view(Call(method="POST", path="/v1/tokens", body=_given(asked), headers=headers))

    async def use(self, text: str, *, scopes: Iterable[str] = ()) -> TokenView:
        """Checks a token and puts it back to full life."""
        return await self._present("use", {"token": text, "scopes": [*scopes]}, repeatable=False)

    async def peek(self, text: str) -> TokenView:
        """Looks at a token; changes nothing."""
        return await self._present("peek", {"token": text})

    async def renew(self, text: str) -> TokenView:
        """Puts a token back to full life on request."""
        return await self._present("renew", {"token": text})

    async def revoke(self, text: str) -> TokenView:
        """Ends a token now; repeating it answers the same."""
        return await self._present("revoke", {"token": text})

    async def rotate(self, text: str, *, overlap_ms: int | UnsetType = UNSET) -> TokenView:
        """A successor with its text; the old text works on for the overlap, unset: the service's default."""
        asked = _given({"token": text, "overlap_ms": overlap_ms})
        # Within the overlap a repeat answers the same successor; without one the old text is revoked by then.
        return await self._present("rotate", asked, repeatable=overlap_ms != 0)

    async def get(self, id: str) -> TokenView:
        """A token by its handle, final ones too; not a use."""
        return await self._view(Call(method="GET", path=_path(id)))

    async def renew_by_id(self, id: str) -> TokenView:
        return await self._view(Call(method="POST", path=_path(id) + "/renew"))

    async def revoke_by_id(self, id: str) -> TokenView:
        return await self._view(Call(method="DELETE", path=_path(id)))

    async def amend(
        self,
        id: str,
        *,
        description: str | None | UnsetType = UNSET,
        metadata: dict[str, Any] | UnsetType = UNSET,
        life_ms: int | UnsetType = UNSET,
        scopes: Iterable[str] | UnsetType = UNSET,
        if_match: str | None = None,
    ) -> TokenView:
        """Changes what is given.  if_match: the `etag` of a view; raises `Conflict` if the token changed since."""
        words = scopes if isinstance(scopes, UnsetType) else [*scopes]
        asked = _given({"description": description, "metadata": metadata, "life_ms": life_ms, "scopes": words})
        headers = {"If-Match": if_match} if if_match else {}
        # A repeat would find the change that the first attempt made, and take it for somebody else's.
        again = if_match is None
        return await self._view(Call(method="PATCH", path=_path(id), body=asked, headers=headers, repeatable=again))

    async def self_peek(self, text: str | None = None) -> TokenView:
        """What a holder may do with nothing but its token: by default the client's own."""
        return await self._view(Call(method="GET", path="/v1/self", bearer=text))

    async def self_renew(self, text: str | None = None, *, timeout_s: float | None = None) -> TokenView:
        return await self._view(Call(method="POST", path="/v1/self/renew", bearer=text), timeout_s)

    async def self_revoke(self, text: str | None = None) -> TokenView:
        return await self._view(Call(method="DELETE", path="/v1/self", bearer=text))

    async def _present(self, verb: str, asked: dict[str, Any], *, repeatable: bool = True) -> TokenView:
        return await self._view(Call(method="POST", path=f"/v1/tokens/{verb}", body=asked, repeatable=repeatable))

    async def _view(self, call: Call, timeout_s: float | None = None) -> TokenView:
        answer = await self._caller.ask(call, timeout_s)
        view, etag = answer.read(TokenView), answer.headers.get("ETag")
        return replace(view, etag=etag) if etag else view


def _given(asked: dict[str, Any]) -> dict[str, Any]:
    """Without what is left to the service's defaults."""
    return {name: value for name, value in asked.items() if value is not UNSET}


def _path(id: str) -> str:
    return "/v1/tokens/" + quote(id, safe="")
