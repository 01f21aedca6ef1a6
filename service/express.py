"""The short way: hot requests are answered from where their bytes arrive, without a task of their own.

aiohttp wakes a task for each request, which makes another one to handle it in; with the coroutines in it, the future
that they wait for and the response object these are two thirds of what a use would cost.  Here a request is one
object that is told its answer.  Only what is plain goes this way: whole, alone on its connection, and without a fault
so far.  Everything else goes the usual way from its beginning, and is refused there.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from service.connection import Connection
from service.core.watch import NOTE, Note
from service.prompt import answered
from service.recall import Recall
from service.telling import Telling
from service.wire import Render, Short, Voice

Rendered = Callable[[Exception, web.BaseRequest, str, Note | None, Render | None], web.Response]
TOLD = ("X-Request-Id", "traceparent")  # what the telling of a request looks at
NOTHING_TOLD: Mapping[str, str] = {}


class Request(msgspec.Struct, frozen=True, gc=False):
    """What a request says; the next one of the same bytes says it too.

    asked: what its route read in it.  headers: those of TOLD that it has.
    """

    short: Short
    method: str
    path: str
    asked: Any
    headers: Mapping[str, str]


class Express:
    """rendered: the answer to an error."""

    def __init__(self, voices: Sequence[Voice], most_bytes: int, telling: Telling, rendered: Rendered) -> None:
        self.most_bytes, self.telling, self.rendered = most_bytes, telling, rendered
        self._short = {(each.method, each.path): each.short for voice in voices for each in voice.routes if each.short}
        self._recall: Recall[Request] = Recall()

    def again(self, connection: Connection, data: bytes) -> bool:
        """Asks the store, as the same bytes asked it before, and has the connection depart; or has changed nothing."""
        request = self._recall.get(data)
        return request is not None and not connection.writing_paused and self._departs(connection, request)

    def takes(self, connection: Connection, message: Any, payload: Any, whole: bytes | None) -> bool:
        """The same for a request that was parsed."""
        short = self._short.get((message.method, message.path)) if isinstance(message, RawRequestMessage) else None
        if short is None or not _plain(connection, message, payload):
            return False
        body = _body(payload)
        if len(body) > self.most_bytes:
            return False
        try:
            request = _read(short, message, body)
        except Exception:  # the usual way comes upon it again, and says what is wrong
            return False
        if not self._departs(connection, request):
            return False
        connection.take()
        if whole is not None:
            self._recall.keep(whole, request)
        return True

    def _departs(self, connection: Connection, request: Request) -> bool:
        under_way = UnderWay(self, connection, request)
        try:
            request.short.ask(request.asked, under_way.tell)
        except Exception:  # as above
            return False
        finally:
            NOTE.set(None)
        connection.depart()
        return True


class UnderWay:
    """A request that waits for its answer."""

    __slots__ = ("_began", "_connection", "_express", "_id", "_note", "_request")

    def __init__(self, express: Express, connection: Connection, request: Request) -> None:
        self._began = time.perf_counter()
        self._express, self._connection, self._request = express, connection, request
        self._id, self._note = express.telling.noted(request.headers)

    def tell(self, outcome: Any) -> None:
        """A token, or why there is none."""
        if isinstance(outcome, Exception):  # not raised: it may be told to many, and each would lengthen its traceback
            self._refuse(outcome)
            return
        try:
            head, body = self._request.short.give(outcome)
        except Exception as fault:
            self._refuse(fault)
        else:
            self._connection.arrive(answered(head, body, self._id))
            self._over(200)

    def _refuse(self, error: Exception) -> None:
        asked = self._request
        request = self._connection.request(_message(asked.method, asked.path))
        response = self._express.rendered(error, request, self._id, self._note, asked.short.render)
        self._connection.arrive_as(response, request)
        self._over(response.status)

    def _over(self, status: int) -> None:
        self._express.telling.over(self._note, self._request.method, self._request.path, status, self._began)


def _plain(connection: Connection, message: RawRequestMessage, payload: Any) -> bool:
    """HTTP/1.1 that has come whole, and goes on, to a client that reads."""
    return (
        payload.is_eof()
        and message.version == HttpVersion11
        and not message.should_close
        and not message.upgrade
        and "Expect" not in message.headers
        and not connection.writing_paused
    )


def _read(short: Short, message: RawRequestMessage, body: bytes) -> Request:
    told = {name: message.headers[name] for name in TOLD if name in message.headers}
    return Request(short, message.method, message.path, short.read(message.headers, body), told or NOTHING_TOLD)


def _message(method: str, path: str) -> RawRequestMessage:
    """All that a refusal is told of its request."""
    return RawRequestMessage(
        method, path, HttpVersion11, CIMultiDictProxy(CIMultiDict()), (), False, None, False, False, URL(path)
    )


def _body(payload: Any) -> bytes:
    """Left where it is, for the usual way may have to read it again."""
    return b"" if payload is EMPTY_PAYLOAD else b"".join(payload._buffer)  # noqa: SLF001
