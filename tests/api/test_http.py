"""HTTP itself: what is not HTTP, what comes too slowly, methods and paths that are not there, ids of requests."""

import asyncio
import gzip
import re
from typing import Any

import msgspec
import pytest

from service.app import openapi
from tests.api.calls import ADMIN, REQUEST_ID, Caller
from tests.servers import Service, wait_until

SECRET = "sEcReT-of-somebody"
POST = f"POST /v1/tokens/use HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN}\r\nContent-Type: application/json\r\n"

UNREADABLE = [
    f"{SECRET}\r\n\r\n",
    f"GET /v1/self?{SECRET}\r\n\r\n",
    f"GET /{SECRET} HTTP/9.9\r\nHost: a\r\n\r\n",
    f"GET /v1/self HTTP/1.1\r\nHost: a\r\nAuthorization Bearer {SECRET}\r\n\r\n",
    f"GET /v1/self HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {SECRET}\x00\r\n\r\n",
    f"GET /v1/self HTTP/1.1\r\nHost: a\r\n {SECRET}: folded\r\n\r\n",
    f"GET /v1/self HTTP/1.1\r\nHost: a\r\nX: {SECRET * 1_000}\r\n\r\n",
    f"GET /v1/self?{SECRET * 1_000} HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /v1/self HTTP/1.1\r\nHost: a\r\n" + "".join(f"X{n}: {SECRET}\r\n" for n in range(500)) + "\r\n",
    f"{SECRET} /v1/self HTTP/1.1\r\nHost: a\r\n\r\n",
    f"{POST}Content-Length: {SECRET}\r\n\r\n",
    f"{POST}Content-Length: 3\r\nContent-Length: 4\r\n\r\n{SECRET}",
    f"{POST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}",
    f"{POST}Transfer-Encoding: {SECRET}\r\n\r\n",
    f"{POST}Transfer-Encoding: chunked\r\n\r\n{SECRET}\r\n\r\n",
    f"{POST}Expect: {SECRET}\r\nContent-Length: 2\r\n\r\n{{}}",
    f"{POST}Content-Encoding: gzip\r\nContent-Length: {len(SECRET)}\r\n\r\n{SECRET}",
    f"{POST}Content-Encoding: {SECRET}\r\nContent-Length: 2\r\n\r\n{{}}",
    f"POST /{SECRET} HTTP/1.1\r\nHost: a\r\nExpect: {SECRET}\r\nContent-Length: 2\r\n\r\n{{}}",
    f"\x16\x03\x01\x02\x00{SECRET}\r\n\r\n",
]


class Raw:
    """An answer as it stood on the wire."""

    def __init__(self, wire: bytes) -> None:
        head, _, self.body = wire.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.wire, self.status = wire, int(first.split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def said(service: Service, *pieces: str | bytes) -> Raw:
    """What the service answers to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    for piece in pieces:
        writer.write(piece if isinstance(piece, bytes) else piece.encode("latin-1"))
        await writer.drain()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    raw = Raw(head)
    body = await asyncio.wait_for(reader.readexactly(int(raw.headers.get("content-length", "0"))), 10)
    writer.close()
    return Raw(head + body)


@pytest.mark.parametrize("request_", UNREADABLE, ids=range(len(UNREADABLE)))
async def test_what_cannot_be_read_is_refused_without_a_word_of_it(service: Service, request_: str) -> None:
    answer = await said(service, request_)

    assert answer.status in (400, 415, 417, 413)
    assert SECRET.encode() not in answer.wire
    assert answer.headers["content-type"] == "application/problem+json"
    assert REQUEST_ID.fullmatch(answer.headers["x-request-id"])
    assert msgspec.json.decode(answer.body)["status"] == answer.status
    assert "aiohttp" not in answer.wire.decode().lower()
    assert SECRET not in service.said()


@pytest.mark.parametrize("scheme", [b"Bearer \xff\xfe", b"Bearer \xed\xa0\x80", b"\xff", b"Bearer \xc3\xbc"])
async def test_an_authorization_of_other_bytes_than_utf_8_is_401(service: Service, scheme: bytes) -> None:
    answer = await said(service, b"GET /v1/tokens HTTP/1.1\r\nHost: a\r\nAuthorization: " + scheme + b"\r\n\r\n")

    assert (answer.status, msgspec.json.decode(answer.body)["field"]) == (401, "Authorization")


async def test_a_body_that_never_ends_is_408(service: Service) -> None:
    """TOKENLIFE_BODY_MS is 500 here."""
    started = asyncio.get_running_loop().time()

    answer = await said(service, f'{POST}Content-Length: 100\r\n\r\n{{"token":')

    assert answer.status == 408
    assert msgspec.json.decode(answer.body)["code"] == "body_timeout"
    assert 0.4 < asyncio.get_running_loop().time() - started < 5


async def test_a_body_that_drips_is_408_too(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(f"{POST}Content-Length: 1000\r\n\r\n".encode())

    async def drip() -> None:
        for _ in range(1_000):
            writer.write(b" ")
            await asyncio.sleep(0.05)

    dripping = asyncio.ensure_future(drip())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    dripping.cancel()
    writer.close()

    assert Raw(head).status == 408


async def test_a_client_that_leaves_in_the_middle_is_no_fault_of_ours(service: Service, shop: Caller) -> None:
    before = service.said()

    _, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(f'{POST}Content-Length: 100\r\n\r\n{{"token":'.encode())
    await writer.drain()
    writer.transport.abort()
    await wait_until(lambda: _counted(shop, 'route="/v1/tokens/use",status="400"'))

    assert "fault" not in service.said().removeprefix(before)


async def test_a_compressed_body_is_read_and_a_bomb_is_413(service: Service) -> None:
    good, bomb = (gzip.compress(body) for body in (b'{"token":"x"}', b" " * 50_000_000))
    head = f"{POST}Content-Encoding: gzip\r\nContent-Length: {{}}\r\n\r\n"

    small = await said(service, head.format(len(good)), good)
    large = await said(service, head.format(len(bomb)), bomb)

    assert (small.status, large.status) == (401, 413)


async def test_a_request_that_is_continued_is_answered(service: Service) -> None:
    answer = await said(service, f"{POST}Expect: 100-continue\r\nContent-Length: 13\r\n\r\n", '{"token":"x"}')

    assert answer.status == 100


async def test_a_client_that_asks_and_does_not_read_is_not_served_on(service: Service) -> None:
    body = b'{"token":"%s"}' % ADMIN.encode()
    one = f"{POST}Content-Length: {len(body)}\r\n\r\n".replace("/use", "/peek").encode() + body
    _, writer = await asyncio.open_connection("127.0.0.1", service.port, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]

    with pytest.raises(TimeoutError):
        await _sent(writer, one * 100, times=1_000)  # 32 MB of questions, 40 of answers

    writer.transport.abort()


async def _sent(writer: asyncio.StreamWriter, data: bytes, times: int) -> None:
    for _ in range(times):
        writer.write(data)
        async with asyncio.timeout(2):
            await writer.drain()


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v1/tokens/", "//v1/self", "/v1/self/", "/V1/self", "/v1/../v1/self", "/v1/tokens/a/b/c",
     "/v1/self%2frenew", "/%00", "/%ff", "/v1/tokens;x=1", "/.env", "/metrics/", "/v2/tokens"],
)  # fmt: skip
async def test_a_path_that_is_not_there_is_404(service: Service, path: str) -> None:
    answer = await said(service, f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN}\r\n\r\n")

    assert (answer.status, msgspec.json.decode(answer.body)["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"


def paths() -> list[tuple[str, set[str]]]:
    """Of `/v1`, with their methods."""
    described: dict[str, Any] = openapi()["paths"]
    return [(path, {method.upper() for method in one}) for path, one in described.items() if path.startswith("/v1/")]


@pytest.mark.parametrize(("path", "methods"), paths())
async def test_another_method_is_405_and_says_which_are_allowed(admin: Caller, path: str, methods: set[str]) -> None:
    known = methods | ({"HEAD"} if "GET" in methods else set())
    if re.fullmatch("/v1/tokens/[a-z]+", path):
        known |= {"GET", "HEAD", "PATCH", "DELETE"}  # which take the word for a handle
    others = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - known

    answers = [await admin.call(method, path.format(id="x", owner="x", username="x")) for method in sorted(others)]

    assert [answer.status for answer in answers] == [405] * len(answers)
    for answer in answers:
        assert set(answer.headers["Allow"].split(", ")) == known


async def test_head_is_get_without_a_body_and_never_streams(shop: Caller) -> None:
    token = await shop.issue()
    paths = [f"/v1/tokens/{token['id']}", "/v1/tokens", "/v1/events", "/openapi.json", "/livez"]

    answers = [await shop.call("HEAD", path, headers={"Accept": "text/event-stream"}) for path in paths]

    assert [(answer.status, answer.body) for answer in answers] == [(200, b"")] * len(paths)
    assert answers[0].headers["ETag"]


async def test_a_request_keeps_the_id_that_it_came_with(shop: Caller) -> None:
    given = await shop.get("/v1/self", {"X-Request-Id": "trace.1_2-3"})
    refused = await shop.bearing(None).get("/v1/self", {"X-Request-Id": "refused-1"})
    odd = [await shop.get("/v1/self", {"X-Request-Id": id_}) for id_ in ("a b", "x" * 65, "ü", '"><script>')]
    own = [await shop.get("/v1/self") for _ in range(3)]

    assert given.headers["X-Request-Id"] == "trace.1_2-3"
    assert refused.headers["X-Request-Id"] == "refused-1"
    ids = [answer.headers["X-Request-Id"] for answer in (*odd, *own)]
    assert len(set(ids)) == 7
    assert all(REQUEST_ID.fullmatch(id_) for id_ in ids)


async def test_the_probes_and_the_metrics_answer_without_a_token(admin: Caller) -> None:
    nobody = admin.bearing(None)
    await admin.peek((await admin.issue())["token"])

    live, ready, metrics = [await nobody.get(path) for path in ("/livez", "/readyz", "/metrics")]

    assert (live.status, live.json) == (200, {"live": True})
    assert (ready.status, ready.json) == (200, {"ready": True, "started": True, "draining": False, "store": True})
    assert metrics.status == 200
    assert metrics.headers["Content-Type"].startswith("text/plain")
    for name in (
        "tokenlife_verdicts_total", "tokenlife_request_seconds_bucket", "tokenlife_tokens", "tokenlife_batch_size_sum",
        "tokenlife_sweep_lag_seconds_count", "tokenlife_due_backlog", "tokenlife_events_kept",
        "tokenlife_store_call_seconds_sum",
    ):  # fmt: skip
        assert f"\n{name}" in metrics.body.decode()


async def test_the_description_may_be_stored_and_answers_about_tokens_may_not(admin: Caller) -> None:
    described, listed = await admin.get("/openapi.json"), await admin.get("/v1/tokens")

    assert described.headers["Cache-Control"] == "public, max-age=300"
    assert listed.headers["Cache-Control"] == "no-store"


async def _counted(caller: Caller, label: str) -> bool:
    return label in (await caller.get("/metrics")).body.decode()
