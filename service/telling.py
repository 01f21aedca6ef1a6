"""What is told of a request, whoever brings it: its line, its numbers and its span."""

import re
import secrets
import time
from collections.abc import Callable, Mapping
from itertools import count

from service.core.watch import NOTE, Note
from service.lines import Lines, trace_id
from service.tracing import Spans

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

Told = Callable[[str, str, int, float], None]  # method, route, status, seconds


class Telling:
    """Without lines and spans nothing is noted, and only the numbers are told."""

    def __init__(self, told: Told, lines: Lines | None, spans: Spans | None) -> None:
        self._told, self._lines, self._spans = told, lines, spans
        self._start, self._numbers = secrets.token_hex(4), count(1)

    def noted(self, headers: Mapping[str, str]) -> tuple[str, Note | None]:
        """The request's id, its own if it may be one, and what the rooms behind may write on."""
        given = headers.get("X-Request-Id")
        id_ = given if given and REQUEST_ID.fullmatch(given) else f"{self._start}-{next(self._numbers):x}"
        if not (self._lines or self._spans):
            return id_, None
        note = Note(id_, trace_id(headers.get("traceparent")))
        NOTE.set(note)
        if self._spans is not None:
            self._spans.begin(note, headers)
        return id_, note

    def over(self, note: Note | None, method: str, route: str, status: int, began: float) -> None:
        """began: by `time.perf_counter`."""
        seconds = time.perf_counter() - began
        self._told(method, route, status, seconds)
        if note is None:
            return
        if self._lines is not None:
            self._lines.request(note, method, route, status, seconds)
        if self._spans is not None:
            self._spans.end(note, method, route, status)
