"""One line per request: which, what, about whom, for whom, how it ended, how long it took; and no secret in it."""

import re
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from service.lines import trace_id
from tests.api.calls import ADMIN, KEYS, NOBODY, Caller, calling
from tests.logs.reading import Line, Log, halves, named
from tests.servers import Server, Service, wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def told(line: Line) -> Line:
    """Without what differs from run to run."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])
    assert 0 < line["duration_ms"] < 60_000
    return {name: value for name, value in line.items() if name not in {"ts", "duration_ms", "request_id", "logger"}}


def answered(method: str, route: str, status: int, outcome: str, level: str = "INFO", **more: Any) -> Line:
    return {"level": level, "message": "answered", "method": method, "route": route, "status": status,
            "outcome": outcome, **more}  # fmt: skip


async def test_a_use_has_its_verb_its_token_and_its_caller(admin: Caller, log: Log) -> None:
    request, caller = named(), await admin.caller("tokens:use", tenant="default")
    token = await admin.issue()

    await caller.post("/v1/tokens/use", {"token": token["token"]}, request)

    line = await log.answered(request)
    assert told(line) == answered("POST", "/v1/tokens/use", 200, "ok", verb="use", handle=token["id"], caller=caller.id)


async def test_a_list_has_its_caller_and_no_verb_of_a_token(admin: Caller, log: Log) -> None:
    request, caller = named(), await admin.caller("tokens:read")

    await caller.get("/v1/tokens", headers=request)

    assert told(await log.answered(request)) == answered("GET", "/v1/tokens", 200, "ok", caller=caller.id)


async def test_an_issue_has_the_handle_that_it_made(admin: Caller, log: Log) -> None:
    request, caller = named(), await admin.caller("tokens:issue")

    made = await caller.post("/v1/tokens", {"owner": "ann"}, request)

    line = await log.answered(request)
    assert told(line) == answered(
        "POST", "/v1/tokens", 201, "ok", verb="issue", handle=made.json["id"], caller=caller.id
    )


@pytest.mark.parametrize("verb", ["peek", "renew", "revoke", "rotate"])
async def test_each_verb_by_text_has_the_handle_that_stands_for_it(admin: Caller, log: Log, verb: str) -> None:
    request, token = named(), await admin.issue()

    answer = await admin.post(f"/v1/tokens/{verb}", {"token": token["token"]}, request)

    line = await log.answered(request)
    assert (line["verb"], line["handle"], line["status"]) == (verb, token["id"], answer.status)


async def test_a_refusal_has_its_word(admin: Caller, log: Log) -> None:
    revoked, unknown, missing = named(), named(), named()
    token = await admin.issue()
    await admin.post("/v1/tokens/revoke", {"token": token["token"]})

    await admin.post("/v1/tokens/use", {"token": token["token"]}, revoked)
    await admin.post("/v1/tokens/use", {"token": NOBODY}, unknown)
    await admin.bearing(None).post("/v1/tokens/use", {"token": token["token"]}, missing)

    line = await log.answered(revoked)
    assert (line["outcome"], line["handle"], line["level"]) == ("revoked", token["id"], "INFO")
    line = await log.answered(unknown)
    assert (line["outcome"], line["verb"]) == ("malformed", "use")
    assert "handle" not in line
    line = await log.answered(missing)
    assert (line["outcome"], line["verb"]) == ("caller_missing", "use")


async def test_a_batch_has_its_verb_and_its_caller_and_no_token(admin: Caller, log: Log) -> None:
    request, refused, caller = named(), named(), await admin.caller("tokens:use")

    await caller.post("/v1/tokens/batch", {"verb": "peek", "tokens": [NOBODY, "", NOBODY]}, request)
    await admin.bearing(NOBODY).post("/v1/tokens/batch", {"verb": "use", "tokens": [NOBODY]}, refused)

    line = await log.answered(request)
    assert told(line) == answered("POST", "/v1/tokens/batch", 200, "ok", verb="peek", caller=caller.id)
    line = await log.answered(refused)
    assert told(line) == answered("POST", "/v1/tokens/batch", 401, "caller_malformed", verb="use")


async def test_a_path_that_leads_nowhere_is_not_repeated(admin: Caller, log: Log) -> None:
    request = named()

    await admin.call("GET", "/v1/nothing/hunter2?token=hunter3", headers=request)

    line = await log.answered(request)
    assert told(line) == answered("GET", "none", 404, "not_found")
    assert "hunter" not in log.text()


async def test_a_handle_in_a_path_is_the_handle_of_the_line(admin: Caller, log: Log) -> None:
    request, token = named(), await admin.issue()

    await admin.call("DELETE", f"/v1/tokens/{token['id']}", headers=request)

    line = await log.answered(request)
    assert (line["route"], line["verb"], line["handle"]) == ("/v1/tokens/{id}", "revoke", token["id"])


@pytest.mark.parametrize(("bearer", "status", "outcome"), [("live", 200, "ok"), ("nobody", 401, "malformed")])
async def test_a_gateway_asks_without_a_caller(admin: Caller, log: Log, bearer: str, status: int, outcome: str) -> None:
    request, token = named(), await admin.issue()
    text = token["token"] if bearer == "live" else NOBODY

    await admin.bearing(text).get("/gateway/use/orders/hunter2", headers=request)

    line = await log.answered(request)
    about = {"handle": token["id"]} if bearer == "live" else {}
    assert told(line) == answered("GET", "/gateway/{tail}", status, outcome, verb="use", **about)


async def test_introspection_answers_200_and_the_line_says_why_it_is_inactive(
    admin: Caller, service: Service, log: Log
) -> None:
    request, token = named(), await admin.issue()
    await admin.post("/v1/tokens/revoke", {"token": token["token"]})

    async with admin.http.post(
        service.url + "/oauth2/introspect", data={"token": token["token"]}, headers=admin.headers(request)
    ) as answer:
        assert answer.status == 200

    line = await log.answered(request)
    assert (line["outcome"], line["handle"], line["status"]) == ("revoked", token["id"], 200)


async def test_a_stream_has_one_line_when_it_is_over(admin: Caller, service: Service, log: Log) -> None:
    request = named()
    async with admin.http.get(
        service.url + "/v1/events", headers=admin.headers(request | {"Accept": "text/event-stream"})
    ) as stream:
        await stream.content.readany()
        assert log.lines(request_id=request["X-Request-Id"]) == []

    line = await log.answered(request)

    assert line["route"] == "/v1/events"
    assert line["duration_ms"] > 100


async def test_a_trace_is_taken_over(admin: Caller, log: Log) -> None:
    request, other, token = named(), named(), await admin.issue()

    await admin.post("/v1/tokens/use", {"token": token["token"]}, {**request, "traceparent": TRACEPARENT})
    await admin.post("/v1/tokens/use", {"token": token["token"]}, other)

    assert (await log.answered(request))["trace_id"] == TRACE
    assert "trace_id" not in await log.answered(other)


@pytest.mark.parametrize(
    ("header", "trace"),
    [
        (None, None),
        (TRACEPARENT, TRACE),
        (f"01-{TRACE}-b7ad6b7169203331-01-what.will.be", TRACE),
        (f"01-{TRACE}-b7ad6b7169203331-01", TRACE),
        (f"{TRACEPARENT}-more", None),
        (f"ff-{TRACE}-b7ad6b7169203331-01", None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-b7ad6b7169203331-01", None),
        (f"00-{TRACE}-b7ad6b7169203331", None),
        ("Bearer hunter2", None),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(header: str | None, trace: str | None) -> None:
    assert trace_id(header) == trace


async def test_no_line_holds_a_text_or_a_query(admin: Caller, service: Service, log: Log) -> None:
    token, last = await admin.issue(recoverable=True), named()
    text = token["token"]
    successor = (await admin.ok("POST", "/v1/tokens/rotate", {"token": text}, 201))["token"]

    for path in ("/v1/tokens", "/GetSessionToken", "/v1/tokens/use", "/console", "/livez"):
        await admin.http.get(
            f"{service.url}{path}?token={text}&email=hunter2", headers=admin.headers({"X-Request-Id": text[:64]})
        )
    await admin.bearing(text).get(f"/gateway/peek/{text}?{text}")
    await admin.call("DELETE", f"/v1/tokens/{text}")
    await admin.http.request(text.replace(".", ""), service.url + "/v1/tokens", headers=admin.headers())
    await admin.get("/v1/self", headers=last)

    await log.answered(last)
    assert [half for each in (text, successor, ADMIN) for half in halves(each) if half and half in log.text()] == []
    assert "hunter2" not in log.text()


async def test_lines_come_in_the_order_of_the_answers(admin: Caller, log: Log) -> None:
    requests = [named() for _ in range(300)]

    for request in requests:
        await admin.get("/livez", headers=request)

    await log.answered(requests[-1])
    asked = [request["X-Request-Id"] for request in requests]
    assert [line["request_id"] for line in log.lines(route="/livez") if line["request_id"] in asked] == asked


@pytest.fixture
def another(store: Server) -> Callable[..., Service]:
    return lambda **settings: Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, **settings)


async def test_from_warnings_on_requests_and_transitions_have_no_line(another: Callable[..., Service]) -> None:
    with another(log_level="WARNING") as service:
        async with calling(service.url) as admin:
            token = await admin.issue()
            await admin.post("/v1/tokens/revoke", {"token": token["token"]})
            await admin.call("GET", "/nothing")
        service.stop()

        assert service.err.read_text() == ""


async def test_the_last_lines_are_written_when_the_service_ends(another: Callable[..., Service]) -> None:
    with another() as service:
        async with calling(service.url) as admin:
            request = named()
            await admin.get("/livez", headers=request)
        service.stop()

        assert len(Log(service).lines(request_id=request["X-Request-Id"])) == 1


async def test_for_people_a_request_is_one_line_too(another: Callable[..., Service]) -> None:
    with another(log_format="console") as service:
        async with calling(service.url) as admin:
            token = await admin.issue()
        service.stop()

        [line] = [line for line in service.err.read_text().splitlines() if "POST" in line]
    assert re.fullmatch(
        r"[\d:]{8}\.\d{3} INFO    service\.requests: POST /v1/tokens 201  request_id=\S+  verb=issue  "
        rf"handle={token['id']}  caller=\S+  outcome=ok  duration_ms=[\d.]+", line,
    )  # fmt: skip


async def test_an_outage_is_an_error_with_the_class_of_the_fault_and_nothing_of_its_text() -> None:
    with Server() as store, Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN) as service:
        async with calling(service.url) as admin:
            token, log = await admin.issue(), Log(service)
            requests = {path: named() for path in ("/v1/tokens/use", "/gateway/use", "/oauth2/revoke")}
            store.kill()

            await admin.post("/v1/tokens/use", {"token": token["token"]}, requests["/v1/tokens/use"])
            await admin.bearing(token["token"]).get("/gateway/use", headers=requests["/gateway/use"])
            async with aiohttp.ClientSession() as http:
                await http.post(service.url + "/oauth2/revoke", data={"token": token["token"]},
                                headers=admin.headers(requests["/oauth2/revoke"]))  # fmt: skip

            for request in requests.values():
                line = await log.answered(request)
                assert (line["status"], line["level"]) == (503, "ERROR")
                assert (line["outcome"], line["fault"]) == ("unavailable", "Unavailable")
            await wait_until(lambda: not any(half in log.text() for half in halves(token["token"])))
