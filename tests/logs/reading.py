"""Reads the log of a service while it runs."""

import itertools
import json
from typing import Any

from tests.servers import Service, wait_until

Line = dict[str, Any]
_numbers = itertools.count(1)


def named() -> dict[str, str]:
    """The header by which a request is found again."""
    return {"X-Request-Id": f"asked-{next(_numbers)}"}


class Log:
    """What a service wrote so far; every line of it is JSON."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def text(self) -> str:
        return self._service.err.read_text()

    def lines(self, **wanted: Any) -> list[Line]:
        found = [json.loads(line) for line in self.text().splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in found if wanted.items() <= line.items()]

    async def wait(self, **wanted: Any) -> Line:
        """The one line with these members, as soon as it is there."""
        await wait_until(lambda: self.lines(**wanted))
        [line] = self.lines(**wanted)
        return line

    async def answered(self, request: dict[str, str]) -> Line:
        """The line of a request that was made with these headers."""
        return await self.wait(logger="service.requests", request_id=request["X-Request-Id"])

    async def kinds(self, handle: str, last: str) -> list[str]:
        """The transitions of a token up to this one."""
        await self.wait(logger="service.tokens", handle=handle, message=last)
        return [line["message"] for line in self.lines(logger="service.tokens", handle=handle)]


def halves(text: str) -> list[str]:
    """What no line may hold: the whole text, and either half of it."""
    body, _, signature = text.rpartition(".")
    return [text, body[-28:], signature]
