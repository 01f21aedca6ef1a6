"""Spans for OpenTelemetry, behind the extra `tokenlife[otel]`: its API only; whoever wants spans brings an SDK.

A span per request, named by its route, and in it one per call to the store.  They hold words of closed sets and
handles: no path, no query, no header and no message, where a token could stand.  The instrumentation that exists for
aiohttp writes the whole target, query included.
"""

import inspect
from collections.abc import Mapping
from typing import Any, cast

from service.core.store import Store
from service.core.watch import Note


class Spans:
    """api: the modules of opentelemetry that are needed; where they are missing, or no SDK is set up, use `spans`."""

    def __init__(self, trace: Any, context: Any, propagate: Any) -> None:
        self._trace, self._context, self._propagate = trace, context, propagate
        self._tracer = trace.get_tracer("tokenlife")

    def begin(self, note: Note, headers: Mapping[str, str]) -> None:
        """Under the caller's span, if its headers name one.  What runs in this task from here on is inside of it."""
        kind, parent = self._trace.SpanKind.SERVER, self._propagate.extract(headers)
        note.span = self._tracer.start_span("request", context=parent, kind=kind)
        self._context.attach(self._trace.set_span_in_context(note.span))  # aiohttp gives each request its own task

    def end(self, note: Note, method: str, route: str, status: int) -> None:
        span = cast("Any", note.span)
        span.update_name(f"{method} {route}")
        told = {
            "http.request.method": method, "http.route": route, "http.response.status_code": status,
            "tokenlife.verb": note.verb, "tokenlife.handle": note.handle, "tokenlife.caller": note.caller,
            "tokenlife.request_id": note.request,
        }  # fmt: skip
        span.set_attributes({name: value for name, value in told.items() if value is not None})
        if status >= 500:
            self._fail(span, note.error)
        span.end()

    def around(self, store: Store) -> Store:
        return cast("Store", _Traced(store, self))

    async def call(self, verb: str, method: Any, args: Any, named: Any) -> Any:
        told = {"db.system.name": "redis", "db.operation.name": verb}
        kind = self._trace.SpanKind.CLIENT
        # What is raised is mostly an ordinary refusal; its text and its traceback are nobody's business.
        with self._tracer.start_as_current_span(
            f"store {verb}", kind=kind, attributes=told, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                return await method(*args, **named)
            except Exception as error:
                self._fail(span, error)
                raise

    def _fail(self, span: Any, error: BaseException | None) -> None:
        """A refusal is an answer and no error."""
        code = getattr(error, "code", None)
        span.set_attribute("error.type", code if isinstance(code, str) else type(error).__name__)
        if code in (None, "unavailable"):
            span.set_status(self._trace.StatusCode.ERROR)


class _Traced:
    """The store, with a span around each call that waits."""

    def __init__(self, store: Store, spans: Spans) -> None:
        self._store, self._spans = store, spans

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **named: Any) -> Any:
            return await self._spans.call(name, method, args, named)

        setattr(self, name, call)
        return call


def spans() -> Spans | None:
    """None without the extra, or where no SDK was set up (by `opentelemetry-instrument`, say): then nothing is done."""
    try:
        from opentelemetry import context, propagate, trace  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    return Spans(trace, context, propagate)
