"""Requests through a gateway."""

from collections.abc import Iterable
from typing import NamedTuple

import aiohttp
import msgspec
from multidict import CIMultiDictProxy
from yarl import URL

from service.core.token import Issued
from tests.gateways.real.upstream import Seen

Lines = Iterable[tuple[str, str]]


class Passed(NamedTuple):
    """What came back, and what the application saw if it was reached."""

    status: int
    headers: CIMultiDictProxy[str]
    seen: Seen | None

    @property
    def identity(self) -> dict[str, str]:
        """As the application saw it.  A name that is there twice is a test's failure."""
        assert self.seen is not None, self.status
        names = [name.lower() for name, _ in self.seen.identity]
        assert sorted(names) == sorted(set(names))
        return {name.lower(): value for name, value in self.seen.identity}


class Client:
    """One who calls through the gateway at this port; paths go out as they are."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session, self._origin = session, f"http://127.0.0.1:{port}"

    async def ask(
        self, path: str, token: Issued | str | None = None, method: str = "GET", lines: Lines = (), data: bytes = b""
    ) -> Passed:
        text = token.text if isinstance(token, Issued) else token
        lines = [*lines, *([("Authorization", f"Bearer {text}")] if text else [])]
        url = URL(self._origin + path, encoded=True)
        async with self._session.request(
            method, url, headers=lines, data=data or None, allow_redirects=False
        ) as answer:
            body = await answer.read()
            reached = answer.headers.get("X-Application") == "reached"
            seen = msgspec.json.decode(body, type=Seen) if reached and body else None
            return Passed(answer.status, answer.headers, seen)
