"""Whatever a client writes into its request line, a gateway's question never reaches another route.

Envoy appends the client's own path to the prefix, and takes any 200 for a yes: so each 200 here must be a verdict.
"""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from tests.servers import Service
from tests.world import World

TAILS = [
    "/../../livez", "/../../../livez", "/./../../livez", "//livez", "/..//../livez", "/%2e%2e/%2e%2e/livez",
    "/..%2f..%2flivez", "/%2e%2e%2f%2e%2e%2flivez", "/..%252f..%252flivez", "/..;/..;/livez", "/..\\..\\livez",
    "/%5c..%5c..%5clivez", "/..%c0%af..%c0%aflivez", "/\\livez", "/%00/../livez", "/%0a", "/%0d%0aX:%20y", "/%zz", "/%",
    "/%ff%fe", "/?/../../livez", "?/../../livez", "?a=/livez#/livez", "/#/../livez", "/{tail}", "/http://127.0.0.1/livez",
    "/\x7f", "/\xff\xfe", "/ä", "/" + "a/" * 3000,
]  # fmt: skip
# As appended to a prefix without a slash between, as `OPTIONS *` and odd targets of HTTP/2 would be.
GLUED = ["*", "http://127.0.0.1/livez", "@127.0.0.1/livez", ":80/livez", "d/../livez", "%2f..%2flivez", "r"]
TARGETS = [
    *(f"/gateway/{verb}{tail}" for verb in ("use", "peek") for tail in [*TAILS, *GLUED]),
    *(f"http://127.0.0.1/gateway/use{tail}" for tail in TAILS), "//gateway/use/../../livez", "/gateway//use",
    "/gateway/../livez/../gateway/use", "/gateway/%75se/../../livez", "/Gateway/use", "gateway/use", "/gateway",
    "/gateway/", "/gateway/revoke", "/gateway/look/x",
]  # fmt: skip
METHODS = [
    "GET", "HEAD", "POST", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "PURGE", "SEARCH", "M-SEARCH", "PRI", "get",
    "FOO", "G\x00T",
]  # fmt: skip
FEW = ["/gateway/use", "/gateway/use/../../livez", "/gateway/use//livez", "http://127.0.0.1/gateway/use/../../livez"]
LINES = [
    "X-Original-URL: /livez", "X-Rewrite-URL: /livez", "X-HTTP-Method-Override: GET", "X-Forwarded-Prefix: /../livez",
    "Upgrade: websocket\r\nConnection: Upgrade", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk", "Expect: 100-continue",
    "Expect: nothing", "Host: other", "X-Token-Id: x", "Content-Length: 0\r\nTransfer-Encoding: chunked",
    "Range: bytes=0-1", "If-None-Match: *", "Accept: text/event-stream",
]  # fmt: skip


def requests() -> Iterator[tuple[str, str, str]]:
    """Method, target, a header line."""
    yield from (("GET", target, "A: b") for target in TARGETS)
    yield from ((method, target, "A: b") for method in METHODS for target in [*FEW, "127.0.0.1:80", "*"])
    yield from (("POST", target, line) for line in LINES for target in FEW)


async def exchange(service: Service, request: str) -> bytes:
    """All that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    with contextlib.closing(writer):
        writer.write(request.encode("latin-1"))
        async with asyncio.timeout(10):
            answer = await reader.read()
    await writer.wait_closed()
    return answer


def request(method: str, target: str, line: str, token: str | None = None) -> str:
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{method} {target} HTTP/1.1\r\nHost: h\r\n{line}\r\n{bearer}Connection: close\r\n\r\n"


def is_verdict(head: bytes, body: bytes) -> bool:
    return b"\r\nX-Token-Id: " in head and b"\r\nX-Token-State: active\r\n" in head and body == b""


async def test_no_request_is_let_through_without_a_token(service: Service) -> None:
    tried = list(requests())

    answers = [await exchange(service, request(*one)) for one in tried]

    allowed = [one for one, answer in zip(tried, answers, strict=True) if answer.split(b" ", 2)[1][:1] in b"235"]
    assert allowed == []


async def test_every_200_is_a_verdict(world: World, service: Service) -> None:
    token = await world.issue(life_ms=60_000)
    tried = [one for one in requests() if one[1] not in ("*", "127.0.0.1:80")]

    answers = [await exchange(service, request(*one, token.text)) for one in tried]

    passed = [answer.partition(b"\r\n\r\n") for answer in answers if b" 200 " in answer[:13]]
    assert len(passed) > len(TAILS)
    assert [head for head, _, body in passed if not is_verdict(head, body)] == []
    assert [answer for answer in answers if answer[9:10] == b"5"] == []


@pytest.mark.parametrize("tail", [tail for tail in TAILS if not {*tail} & {"\x7f", "\xff", "ä"}])
async def test_a_tail_of_the_path_changes_nothing(world: World, service: Service, tail: str) -> None:
    token = await world.issue()

    answer = await exchange(service, request("GET", f"/gateway/use{tail}", "A: b", token.text))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert is_verdict(head, body)


async def test_a_body_is_not_waited_for(world: World, service: Service) -> None:
    token = await world.issue()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)

    with contextlib.closing(writer):
        writer.write(request("POST", "/gateway/use", "Content-Length: 1000000", token.text).encode())
        async with asyncio.timeout(5):
            answer = await reader.readline()
    await writer.wait_closed()

    assert answer == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("length", [f"Content-Length: {len('GET /livez HTTP/1.1') + 4}", "Transfer-Encoding: chunked"])
async def test_a_body_is_never_taken_for_another_request(service: Service, length: str) -> None:
    inner = "GET /livez HTTP/1.1\r\n\r\n"
    chunked = f"{len(inner):x}\r\n{inner}\r\n0\r\n\r\n" if "chunked" in length else inner
    asked = f"POST /gateway/use HTTP/1.1\r\nHost: h\r\n{length}\r\n\r\n{chunked}"
    last = "GET /gateway/peek HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

    answer = await exchange(service, asked + last)

    assert answer.count(b"HTTP/1.1 401 ") == answer.count(b"HTTP/1.1 ") <= 2
