"""Calls to the OAuth 2.0 endpoints."""

from base64 import b64encode
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import aiohttp
from multidict import CIMultiDictProxy

FORM = "application/x-www-form-urlencoded"
INTROSPECT, REVOKE = "/oauth2/introspect", "/oauth2/revoke"
INACTIVE = {"active": False}


class Answer(NamedTuple):
    status: int
    headers: CIMultiDictProxy[str]
    text: str
    json: Any


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def basic(password: str, client_id: str = "shop") -> dict[str, str]:
    """As RFC 6749 section 2.3.1 has it: both halves are encoded as in a form first."""
    pair = f"{quote_plus(client_id)}:{quote_plus(password)}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


async def call(
    http: aiohttp.ClientSession,
    path: str,
    form: str | dict[str, str],
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Answer:
    body = form if isinstance(form, str) else "&".join(f"{name}={quote_plus(value)}" for name, value in form.items())
    given = {"Content-Type": FORM, **(headers or {})}
    async with http.request(more.pop("method", "POST"), path, data=body, headers=given, **more) as answer:
        text = await answer.text()
        is_json = answer.content_type == "application/json" and text
        return Answer(answer.status, answer.headers, text, await answer.json() if is_json else None)
