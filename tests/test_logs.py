"""No secret reaches a log line, whoever writes it, at any level."""

import asyncio
import json
import logging
import re
import sys
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pytest
from aiohttp import web

from service.core.text import Texts
from service.logs import GONE, configure, redacted

texts = Texts(["a-signing-key-for-the-tests"])
log = logging.getLogger("service.somewhere")

JWT = "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4iLCJleHAiOjE3NjQwMDB9.c2lnbmF0dXJlLW9mLWE"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, access, hook = logging.getLogger(), logging.getLogger("aiohttp.access"), sys.excepthook
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], sys.excepthook, access.disabled = handlers, hook, False
    root.setLevel(level)
    logging.captureWarnings(capture=False)


Output = pytest.CaptureFixture[str]


def lines(output: Output) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.readouterr().err.splitlines()]


def leaks(text: str, token: str) -> bool:
    """Whether the whole token, or either half of it without the dressing, is in the text."""
    body, _, signature = token.rpartition(".")
    return any(part in text for part in (token, body[-28:], signature))


def test_a_line_for_machines_tells_when_how_grave_who_and_what(capsys: Output) -> None:
    configure("json", "INFO")

    before = time.time()
    log.warning("swept %d tokens", 3, extra={"partition": 7, "took_ms": 1.5, "where": ("a", "b"), "ts": "no"})

    (line,) = lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])
    assert line.pop("ts")[:10] == time.strftime("%Y-%m-%d", time.gmtime(before))
    assert line == {
        "level": "WARNING",
        "logger": "service.somewhere",
        "message": "swept 3 tokens",
        "partition": 7,
        "took_ms": 1.5,
        "where": "('a', 'b')",
    }


def test_a_line_for_people_is_one_line(capsys: Output) -> None:
    configure("console", "INFO")

    log.info("hello\n%s", "forged line\x1b[2J", extra={"partition": 7})

    written = capsys.readouterr().err
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} INFO    service\.somewhere: hello\\x0aforged line\\x1b\[2J  partition=7\n", written
    )


def test_where_nobody_looks_lines_are_for_machines(capsys: Output) -> None:
    configure("auto", "INFO")

    log.info("hello")

    assert lines(capsys)[0]["message"] == "hello"


def test_on_a_terminal_lines_are_for_people(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure("auto", "INFO")

    log.info("hello")

    assert capsys.readouterr().err.endswith("INFO    service.somewhere: hello\n")


def test_configured_twice_it_writes_once_and_at_the_later_level(capsys: Output) -> None:
    configure("json", "DEBUG")
    configure("json", "WARNING")

    log.info("too low")
    log.error("written")

    assert [line["message"] for line in lines(capsys)] == ["written"]


def test_an_exception_brings_its_traceback(capsys: Output) -> None:
    configure("json", "INFO")

    try:
        raise_with("a reason")
    except LookupError:
        log.exception("it failed")

    (line,) = lines(capsys)
    assert line["message"] == "it failed"
    assert "in raise_with" in line["exception"]
    assert line["exception"].endswith("LookupError: a reason\n")


def raise_with(message: str) -> NoReturn:
    raise LookupError(message)


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("dressing", ["tl_", "stg_", "secret-token:", "prod_"])
def test_a_token_is_cut_out_wherever_it_stands(form: Any, dressing: str, capsys: Output) -> None:
    logging.getLogger().handlers.clear()  # those of pytest do not take arguments that do not fit
    configure(form, "DEBUG")
    # Many, because their characters are random, and some of them look like punctuation.
    tokens = [texts.mint(7, dressing)[0] for _ in range(100)]

    for token in tokens:
        log.info("in the message: %s", token)
        log.debug(f"already in it: '{token}',")  # noqa: G004 - that somebody does it is the case
        log.info("in a repr: %r", {"token": token, "other": token.encode()})
        log.info("as an extra", extra={"note": f"<{token}>", "token": token, "many": [token]})
        log.info("a number: %d", token)
        try:
            raise_with(f"in an exception: {token}")
        except LookupError as error:
            error.add_note(f"in a note: {token}")
            log.exception("failed", stack_info=True)

    written = capsys.readouterr().err
    assert written.count("in the message") == len(tokens)
    assert written.count("a number: ") == len(tokens)
    assert [token for token in tokens if leaks(written, token)] == []


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Authorization: Bearer hunter2", "Authorization: [redacted]"),
        ("Authorization Bearer hunter2-hunter2", "Authorization [redacted]"),
        ("b'authorization: Basic aHVudGVyMg=='", "b'authorization: [redacted]'"),
        ("(b'App-Token', b'hunter2')", "(b'App-Token', [redacted])"),
        ("{'X-Session-Token': 'hunter2', 'a': 1}", "{'X-Session-Token': [redacted], 'a': 1}"),
        ("Cookie: a=1; session=hunter2", "Cookie: [redacted]"),
        ("GET /GetSessionToken?email=ann&Password=hunter2&Minutes=1", None),
        ("GET /RenewSessionToken?SessionToken=hunter2&x=1 HTTP/1.1", None),
        ("/GetSessionToken?APIKey=hunter2", "/GetSessionToken?APIKey=[redacted]"),
        ('{"username": "ann", "password": "hun\\"ter2", "a": 1}', None),
        ('"{\\"password\\": \\"hunter2\\"}"', None),
        ("TOKENLIFE_SIGNING_KEYS=hunter2", "TOKENLIFE_SIGNING_KEYS=[redacted]"),
        ("connecting to redis://:hunter2@cache:6379/0", "connecting to redis://:[redacted]@cache:6379/0"),
        ("connecting to rediss://ann:hunter2@cache", "connecting to rediss://ann:[redacted]@cache"),
        (f"a text of a JWT {JWT} in it", "a text of a JWT [redacted] in it"),
        ("it was shortened: tl_hunter2hunter2hun...", "it was shortened: [redacted].."),
    ],
)
def test_a_value_with_a_telling_name_is_cut_out(text: str, rest: str | None) -> None:
    cut = redacted(text)

    assert GONE in cut
    assert "hunter2" not in cut
    assert "ter2" not in cut
    assert JWT not in cut
    assert rest in (None, cut)


@pytest.mark.parametrize(
    "text",
    [
        "token 07000000-0000-8000-8000-000000000000. It expired.",
        "refused a token: expired",
        "the password is wrong",
        "aiohttp.web_protocol.RequestHandler.start",
        "tl:{07}:l:07000000-0000-8000-8000-000000000000",
        "listening on http://127.0.0.1:8080/docs and http://[::1]:8080",
        "token_id=07000000-0000-8000-8000-000000000000 tokens=3",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "word", ["a", "a-", "a.", "ey", "token", "token ", "token=\\", "password='", "cookie:", "://", "\\", " ", "tl_"]
)
def test_no_line_costs_more_than_its_length(word: str) -> None:
    """A pattern that backtracks needs minutes for what a client sends in a second."""
    long = word * (200_000 // len(word))

    started = time.process_time()
    redacted(long)

    assert time.process_time() - started < 2.0


def test_text_that_is_not_utf_8_is_written_all_the_same(capsys: Output) -> None:
    configure("json", "INFO")

    log.info("from a header: %s", b"\xff\xfe".decode(errors="surrogateescape"))

    assert lines(capsys)[0]["message"] == "from a header: ??"


def test_a_warning_is_a_line_too(capsys: Output) -> None:
    configure("json", "INFO")
    token, _ = texts.mint(1)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(f"about {token}", stacklevel=1)

    (line,) = lines(capsys)
    assert line["logger"] == "py.warnings"
    assert not leaks(line["message"], token)


def test_what_nobody_caught_is_a_line_too(capsys: Output) -> None:
    configure("json", "INFO")
    token, _ = texts.mint(1)

    try:
        raise_with(token)
    except LookupError as error:
        sys.excepthook(LookupError, error, error.__traceback__)

    (line,) = lines(capsys)
    assert line["level"] == "CRITICAL"
    assert "in raise_with" in line["exception"]
    assert not leaks(line["exception"], token)


async def echo(request: web.Request) -> web.Response:
    """Reads the body; asked to, it fails with all that it was sent."""
    body = await request.read()
    if request.path == "/fail":
        raise LookupError(f"{request.rel_url} {dict(request.headers)} {body!r}")
    return web.Response()


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    """An ordinary aiohttp server with its access log on; gives its port."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def send(port: int, request: bytes) -> bytes:
    """The status line that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "request_text",
    [
        "GET /v1/self?token={token} HTTP/1.1 {token}\r\nHost: x\r\n\r\n",
        "{token}\r\n\r\n",
        "GET /{token} HTTP/9.9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nAuthorization Bearer {token}\r\n\r\n",
        "GET / HTTP/1.1\r\nAuthorization: Bearer {token}\x00\r\n\r\n",
        "GET / HTTP/1.1\r\n{token}: x\x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-{token}\r\n\r\n",
        "GET / HTTP/1.1\r\nX-Long: {padding}{token}{padding}\r\n\r\n",
        "GET /{padding}{token}{padding} HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: {token}\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{token}\r\n\r\n",
        "POST /fail HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde{token}\r\n\r\n",
    ],
)
@pytest.mark.parametrize("debug", [False, True])
async def test_a_malformed_request_is_told_without_its_bytes(request_text: str, debug: bool, capsys: Output) -> None:
    configure("json", "DEBUG")
    asyncio.get_running_loop().set_debug(debug)
    # Of another shape than our tokens: no pattern can know what a stranger sends.
    secret = "hunter2.Tr0ub4dor"
    raw = request_text.format(token=secret, padding="p" * 9000).encode()

    async with server() as port:
        status = await send(port, raw)

    written = capsys.readouterr().err
    told = [json.loads(line) for line in written.splitlines()]
    assert b" 400 " in status
    assert "hunter2" not in written
    assert [line for line in told if line["logger"] == "aiohttp.server" and "malformed" in line["message"]]


@pytest.mark.parametrize("form", ["json", "console"])
async def test_a_fault_of_a_handler_keeps_its_traceback_but_no_secret(form: Any, capsys: Output) -> None:
    configure(form, "DEBUG")
    token, _ = texts.mint(3)
    raw = (
        f"POST /fail?SessionToken={token}&Password=hunter2 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f'Content-Length: 22\r\n\r\n{{"password":"hunter2"}}'
    )

    async with server() as port:
        status = await send(port, raw.encode())

    written = capsys.readouterr().err
    assert b" 500 " in status
    assert "in echo" in written
    assert "LookupError" in written
    assert "hunter2" not in written
    assert not leaks(written, token)


async def test_requests_are_not_logged_by_aiohttp(capsys: Output) -> None:
    configure("json", "DEBUG")

    async with server() as port:
        status = await send(port, b"GET /quiet?q=hunter2 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b" 200 " in status
    assert "quiet" not in capsys.readouterr().err
