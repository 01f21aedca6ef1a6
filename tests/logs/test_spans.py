"""Spans, with the SDK of OpenTelemetry set up as its users do: around the service, not in it."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from service.tracing import spans
from tests.api.calls import ADMIN, KEYS, NOBODY, calling
from tests.logs.reading import Log, halves, named
from tests.servers import Server, Service, wait_until

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LAUNCH = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from service.cli import main

told = ConsoleSpanExporter(out=sys.stdout, formatter=lambda span: span.to_json(indent=None) + chr(10))
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(told))
sys.exit(main(["serve"]))
"""

Span = dict[str, Any]


def traced(service: Service) -> Callable[[], list[Span]]:
    """What was told so far of requests that belong to our trace, and of what is in them."""

    def found() -> list[Span]:
        lines = [line for line in service.out.read_text().splitlines(keepends=True) if line.endswith("}\n")]
        return [span for span in map(json.loads, lines) if TRACEPARENT[3:35] in span["context"]["trace_id"]]

    return found


@pytest.fixture
def service(store: Server) -> Service:
    made = Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN)
    made.command = [sys.executable, "-c", LAUNCH]
    return made


async def test_a_request_is_a_span_and_its_store_call_is_one_in_it(service: Service) -> None:
    with service:
        found = traced(service)
        async with calling(service.url) as admin:
            token = await admin.issue()

            await admin.post("/v1/tokens/use?x=hunter2", {"token": token["token"]}, {"traceparent": TRACEPARENT})
            await wait_until(lambda: len(found()) == 2)
        inner, outer = found()
        told = service.out.read_text()

    assert (outer["name"], outer["kind"]) == ("POST /v1/tokens/use", "SpanKind.SERVER")
    assert outer["parent_id"] == "0xb7ad6b7169203331"
    assert outer["attributes"]["tokenlife.handle"] == token["id"]
    assert outer["attributes"]["http.response.status_code"] == 200
    assert (inner["name"], inner["kind"]) == ("store present", "SpanKind.CLIENT")
    assert inner["parent_id"] == outer["context"]["span_id"]
    assert [half for half in [*halves(token["token"]), "hunter2"] if half in told] == []


async def test_a_refusal_is_no_error_and_an_outage_is_one(service: Service) -> None:
    with Server() as store:
        assert service.environment is not None
        service.environment = {**service.environment, "TOKENLIFE_REDIS_URL": store.url}
        with service:
            found = traced(service)
            async with calling(service.url) as admin:
                await admin.post("/v1/tokens/use", {"token": NOBODY}, {"traceparent": TRACEPARENT})
                await wait_until(lambda: len(found()) == 2)
                store.kill()
                await admin.post("/v1/tokens/use", {"token": NOBODY}, {"traceparent": TRACEPARENT})
                await wait_until(lambda: len(found()) == 4)
            told = found()

    refused, away = [span for span in told if span["kind"] == "SpanKind.SERVER"]
    assert (refused["status"]["status_code"], refused["attributes"]["http.response.status_code"]) == ("UNSET", 401)
    assert (away["status"]["status_code"], away["attributes"]["error.type"]) == ("ERROR", "unavailable")
    assert [span["events"] for span in told] == [[]] * 4


async def test_with_spans_and_without_lines_nothing_is_written(service: Service) -> None:
    assert service.environment is not None
    service.environment = {**service.environment, "TOKENLIFE_LOG_LEVEL": "WARNING"}
    with service:
        found = traced(service)
        async with calling(service.url) as admin:
            await admin.get("/livez", headers={"traceparent": TRACEPARENT, **named()})
            await wait_until(found)

        assert Log(service).lines() == []


def test_where_no_sdk_is_set_up_there_are_no_spans() -> None:
    assert spans() is None


def test_without_the_extra_there_are_no_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    assert spans() is None
