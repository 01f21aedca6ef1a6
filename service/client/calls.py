"""One call to the service: its deadline, and when it may be repeated.  Knows no verbs."""

import asyncio
import os
import random
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from service.client.problems import error_of, unavailable
from service.core.errors import BadInput, Unavailable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0  # between attempts; doubled each time, half of it by chance
IDLE_S = 15.0  # a connection rests this long: far less than servers allow, so none is found closed when it is used
UNSPENT = (429, 503)  # the service says itself that it did not do it
IN_FLIGHT = 409  # with Retry-After: an earlier attempt of the same call is still at work
LOST = (500, 502, 504)  # whether it was done is not known
NEVER = aiohttp.ClientTimeout(total=None, sock_connect=None)  # the deadline of the whole call rules

T = TypeVar("T")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked.  `repeatable`: doing it twice does no more than doing it once.

    Any call is repeated when nothing was sent, or when the service answers that it did nothing.
    """

    method: str
    path: str  # percent-encoded
    body: Any = None
    query: dict[str, Any] = {}
    headers: dict[str, str] = {}
    bearer: str | None = None  # presented instead of the client's own token
    repeatable: bool = True
    also: tuple[int, ...] = ()  # statuses that are answers and not errors

    def __repr__(self) -> str:
        return f"Call({self.method} {self.path})"  # bodies and headers hold texts


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def read(self, kind: type[T]) -> T:
        """Raises: Unavailable for what this version does not understand."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.DecodeError:
            raise unavailable("the answer is not one of a tokenlife service") from None

    def __repr__(self) -> str:
        return f"Answer({self.status})"


class _Failure(msgspec.Struct, frozen=True):
    """An attempt that failed, and whether another one is allowed, then not before so many seconds."""

    error: Exception
    again: bool
    after_s: float = 0.0


class Caller:
    """Carries calls to one service over kept connections."""

    def __init__(self, url: str, token: str | None, timeout_s: float, session: aiohttp.ClientSession | None) -> None:
        if not url.startswith(("http://", "https://")):
            raise BadInput("url", "must begin with http:// or https://")
        if "@" in url:
            raise BadInput("url", "must not hold a password: the token is what is presented")
        if "?" in url or "#" in url:
            raise BadInput("url", "must end with its path: errors and logs show it")
        self.url, self.timeout_s = url.rstrip("/"), timeout_s
        self._token, self._session, self._ours = token, session, session is None

    def __repr__(self) -> str:
        return f"Caller({self.url!r})"

    async def close(self) -> None:
        """A session that was handed in stays open."""
        if self._session is not None and self._ours:
            await self._session.close()
            self._session = None

    async def ask(self, call: Call, timeout_s: float | None = None) -> Answer:
        """Repeats within the deadline where that is safe.  Raises what the service answered, or `Unavailable`."""
        allowed_s = self.timeout_s if timeout_s is None else timeout_s
        ends = time.monotonic() + allowed_s
        for pause in pauses():
            outcome = await self._attempt(call, ends - time.monotonic(), allowed_s)
            if isinstance(outcome, Answer):
                return outcome
            pause_s = max(pause, outcome.after_s)
            if not outcome.again or time.monotonic() + pause_s >= ends:
                raise outcome.error
            await asyncio.sleep(pause_s)
        raise AssertionError("pauses do not end")

    def open(self, call: Call, silence_s: float) -> "aiohttp.client._RequestContextManager":
        """The answer while it comes in; `silence_s` bounds each wait for more of it."""
        return self._request(call, aiohttp.ClientTimeout(total=None, sock_read=silence_s))

    async def _attempt(self, call: Call, left_s: float, allowed_s: float) -> Answer | _Failure:
        try:
            async with asyncio.timeout(left_s), self._request(call, NEVER) as response:
                answer = Answer(response.status, response.headers, await response.read())
        except TimeoutError:
            return _Failure(unavailable(f"no answer from {self.url} within {allowed_s:g} s"), again=False)
        except aiohttp.ClientConnectorError as error:
            return _Failure(self.unreachable(error), again=True)
        except (aiohttp.ClientError, OSError) as error:
            return _Failure(self.unreachable(error), again=call.repeatable)
        if answer.status < 300 or answer.status in call.also:
            return answer
        return _failure(call, answer)

    def _request(self, call: Call, timeout: aiohttp.ClientTimeout) -> "aiohttp.client._RequestContextManager":
        asked = {name: value for name, value in call.query.items() if value is not None}
        url = self.url + call.path + ("?" + urlencode(asked) if asked else "")
        return self._opened().request(
            call.method,
            URL(url, encoded=True),
            data=None if call.body is None else msgspec.json.encode(call.body),
            headers=self._headers(call),
            timeout=timeout,
            allow_redirects=False,  # a redirect would carry the token to somebody else
        )

    def _headers(self, call: Call) -> dict[str, str]:
        bearer = call.bearer if call.bearer is not None else self._token
        headers = dict(call.headers)
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if bearer is not None:
            headers["Authorization"] = f"Bearer {_sendable(bearer)}"
        return headers

    def _opened(self) -> aiohttp.ClientSession:
        """Made at the first call, since a session belongs to the loop that runs it."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(keepalive_timeout=IDLE_S), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    def unreachable(self, error: Exception) -> Unavailable:
        """Without the error itself: some of aiohttp's show the request's headers, and so the token."""
        return unavailable(f"the service cannot be reached at {self.url}: {_reason(error)}")


def pauses() -> Iterator[float]:
    """Seconds to rest after each failed attempt, without end."""
    pause = FIRST_PAUSE_S
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311  # spreads callers, guards nothing
        pause = min(2 * pause, LONGEST_PAUSE_S)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        # asyncio's own words for a refused connection are those of its source code; names not found have no errno.
        return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or type(error).__name__
    return type(error).__name__


def _failure(call: Call, answer: Answer) -> _Failure:
    error, after = error_of(answer.status, answer.body), answer.headers.get("Retry-After", "")
    after_s = float(after) if after.isdecimal() else 0.0
    again = (
        answer.status in UNSPENT
        or (answer.status == IN_FLIGHT and bool(after))
        or (answer.status in LOST and call.repeatable)
    )
    return _Failure(error, again, after_s)


def _sendable(text: str) -> str:
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise BadInput("token", "has characters that no token has")
    return text
