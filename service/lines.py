"""One line per request and one per transition, collected and written together.

A record of `logging` costs 15 us; at 25,000 requests a second that is a third of a core.  Here the loop
writes what has come together: at most FLUSH_S later, which is also what a crash loses.
"""

import asyncio
import logging
import re
import sys
import time
from collections.abc import Sequence

import msgspec
from aiohttp import web

from service import logs
from service.core.errors import BadInput, CallerRefused, Conflict, Gone, Refusal, Unavailable
from service.core.watch import NOTE, Note
from service.wire import HttpError, as_http_error

FLUSH_S = 0.1
MANY = 256  # lines that are not left to wait
AT_ONCE = 8  # lines a write: below 4096 bytes (PIPE_BUF), which go into a pipe whole, whoever else writes to it
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
# W3C Trace Context: version, trace, parent, flags; later versions may say more.  All zeros is "none", ff is no version.
TRACEPARENT = re.compile(
    r"(?!ff|00-.{52}.)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)


class Line(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """As it is written; the first names are those of every line of the log."""

    ts: str
    level: str
    logger: str
    message: str
    request_id: str | None = None
    trace_id: str | None = None
    verb: str | None = None
    handle: str | None = None
    caller: str | None = None  # the handle of the caller's own token
    outcome: str | None = None
    method: str | None = None
    route: str | None = None  # as it was declared: a path holds names of people, a query may hold anything
    status: int | None = None
    duration_ms: float | None = None
    fault: str | None = None  # the class of what a 5xx answered, never its text
    late_ms: int | None = None  # from the deadline of an expired token to its mark


class Lines:
    """people: for people instead of machines."""

    def __init__(self, *, people: bool) -> None:
        self._encode = _for_people if people else msgspec.json.Encoder().encode_lines
        self._waiting: list[Line] = []
        self._timer: asyncio.TimerHandle | None = None
        self._moment = 0, ""

    def request(self, note: Note, method: str, route: str, status: int, seconds: float) -> None:
        error = note.error
        outcome = "ok" if error is None and status < 400 else _outcome(error, status)
        message = "cut off" if isinstance(error, asyncio.CancelledError) else "answered"
        fault = type(error).__name__ if status >= 500 and error is not None else None  # else a probe's plain 503
        self._add(Line(
            self._now(), "ERROR" if fault else "INFO", "service.requests", message, _safe(note.request), note.trace,
            note.verb, note.handle, note.caller, outcome, method if method in METHODS else "other", route, status,
            int(seconds * 1e6) / 1000, fault,
        ))  # fmt: skip

    def transition(self, kind: str, handle: str, late_ms: int | None) -> None:
        """Of whatever request is under way here, if one is."""
        note = NOTE.get() or Note("")
        self._add(Line(
            self._now(), "INFO", "service.tokens", kind, _safe(note.request) or None, note.trace, note.verb, handle,
            note.caller, late_ms=late_ms,
        ))  # fmt: skip

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._waiting = self._waiting, []
        try:
            for first in range(0, len(lines), AT_ONCE):
                sys.stderr.buffer.write(self._encode(lines[first : first + AT_ONCE]))
                sys.stderr.buffer.flush()
        except (OSError, ValueError):  # nobody reads it any more: the service goes on, as with every other line
            return

    def _add(self, line: Line) -> None:
        self._waiting.append(line)
        if len(self._waiting) >= MANY:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def _now(self) -> str:
        """Spelt out once a millisecond."""
        ms = int(time.time() * 1000)
        if self._moment[0] != ms:
            self._moment = ms, f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ms // 1000))}.{ms % 1000:03}Z"
        return self._moment[1]


def configured() -> Lines | None:
    """As `logs.configure` was told; None where lines of this level are not written, and then nothing is collected."""
    if not logging.getLogger("service.requests").isEnabledFor(logging.INFO):
        return None
    return Lines(people=logs.for_people())


def trace_id(traceparent: str | None) -> str | None:
    """Of a `traceparent` header; None when there is none, or one that the standard says to ignore."""
    found = traceparent and TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else None


def _outcome(error: BaseException | None, status: int) -> str:
    """'ok', or the word of what was answered instead: of a closed set, as the metrics have it."""
    match error:
        case Refusal() | CallerRefused() | Unavailable() | BadInput() | Conflict() | Gone() | HttpError():
            return error.code
        case web.HTTPException():
            return as_http_error(error).code
    return "ok" if status < 400 else "refused" if error is None else "failed"


def _safe(request: str) -> str:
    """A client may name its request as it likes, after a token even; and no token is without one of these."""
    return logs.redacted(request) if "." in request or "_" in request else request


def _for_people(lines: Sequence[Line]) -> bytes:
    return b"".join(map(_told, lines))


def _told(line: Line) -> bytes:
    known = {name: value for name, value in msgspec.structs.asdict(line).items() if value is not None}
    words = [str(known.pop(name)) for name in ("method", "route", "status") if name in known]
    more = "".join(f"  {name}={value}" for name, value in known.items() if name not in logs.FIELDS)
    return f"{line.ts[11:-1]} {line.level:<7} {line.logger}: {' '.join(words) or line.message}{more}\n".encode()
