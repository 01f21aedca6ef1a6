"""What is true of each dialect: it has an answer of its own for every no, and lets nobody in whom it should not."""

import asyncio
import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from service.core.errors import BadInput, CallerRefused, Conflict, Gone, Refusal, Unavailable
from service.facades import onespan, sarus, taler, wepay
from service.wire import HttpError
from tests.facades.conftest import Here, Reply, Running, running
from tests.facades.dialects import KINDS, Call, Dialect, Login, No
from tests.servers import wait_until

FACADES: dict[str, ModuleType] = {"wepay": wepay, "sarus": sarus, "taler": taler, "onespan": onespan}
PATHS = {"wepay": "/session_tokens", "sarus": "/QuerySessionToken", "taler": "/accounts/ann/tokens",
         "onespan": "/api/transaction/x"}  # fmt: skip
ENVELOPES = {
    "wepay": {"error_code", "error_message", "details"},
    "sarus": {"ServerDateTime", "TimeStamp", "ExecutionTime", "Errors"},
    "taler": {"code", "hint"},
    "onespan": {"status", "error", "message"},
}
OF_HTTP = [
    HttpError(400, "bad_http", "The body is not framed as its headers say."),
    HttpError(408, "body_timeout", "The body did not arrive."),
    HttpError(413, "too_large", "The body is too large."),
    HttpError(415, "unsupported_media_type", "Send JSON."),
    HttpError(429, "rate_limited", "Too many.", {"Retry-After": "1"}),
    web.HTTPNotFound(),
    web.HTTPMethodNotAllowed("BREW", ["GET"]),
    web.HTTPRequestEntityTooLarge(1, 2),
    web.HTTPBadRequest(),
]
OTHERS = [Unavailable("timeout"), BadInput("field", "is missing"), Conflict("changed", "It changed."), Gone("cursor")]

each = pytest.mark.parametrize("name", KINDS)


async def prepared(name: str, here: Here, tenant: str) -> Dialect:
    dialect = KINDS[name](here, tenant)
    await dialect.prepare()
    return dialect


def rendered(name: str, error: Exception) -> web.Response:
    return FACADES[name].render(error, make_mocked_request("GET", PATHS[name]))  # type: ignore[no-any-return]


# Every no


@each
def test_every_refusal_has_a_status(name: str) -> None:
    assert set(FACADES[name].STATUS) == set(Refusal.__subclasses__())


@each
def test_every_no_of_the_core_and_of_http_is_said_in_its_envelope(name: str) -> None:
    refusals = [kind(id="an id", needed="a scope") for kind in Refusal.__subclasses__()]
    errors = [*refusals, *map(CallerRefused, refusals), *OF_HTTP, *OTHERS]

    for error in errors:
        reply = rendered(name, error)

        body = Reply(reply.status, reply.headers, bytes(reply.body)).json()  # type: ignore[arg-type]
        assert ENVELOPES[name] <= body.keys(), error
        assert 400 <= reply.status < 500 or (isinstance(error, Unavailable) and reply.status in (500, 503)), error
        assert reply.content_type == "application/json"
        assert reply.headers["Cache-Control"] == "no-store"


@each
def test_a_fault_is_a_500_that_says_nothing_of_itself(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        reply = rendered(name, RuntimeError("what went wrong"))

    body = bytes(reply.body)  # type: ignore[arg-type]
    assert reply.status == 500
    assert b"what went wrong" not in body
    assert ENVELOPES[name] <= Reply(500, {}, body).json().keys()
    assert [record.name for record in caplog.records] == [f"service.facades.{name}"]


@each
async def test_where_there_is_nothing_and_for_other_methods_the_envelope_is_the_same(here: Here, name: str) -> None:
    dialect = KINDS[name](here, "default")
    path = PATHS[name]

    nothing = [await here.ask("GET", path + below) for below in ("/x/y/z", "/x/y/z/")]
    others = [
        await here.ask(method, path + ("/token" if name == "onespan" else "")) for method in ("PATCH", "PROPFIND")
    ]

    assert {dialect.no(reply)[0] for reply in nothing} == {404}
    assert {dialect.no(reply)[0] for reply in others} == {405}
    assert all(reply.headers["Allow"] for reply in others)


BYTES = b"\xff\xfe\xed\xa0\x80.a.b"  # no UTF-8; as text they have halves of surrogate pairs in them
LOGINS = {
    "wepay": b"App-Id: %s\r\nApp-Token: %s\r\nApi-Version: 3.0\r\nContent-Type: application/json\r\n" % (BYTES, BYTES),
    "sarus": b"",
    "taler": b"Authorization: Bearer %s\r\n" % BYTES,
    "onespan": b"Authorization: Bearer %s\r\nAccept: %s\r\n" % (BYTES, BYTES),
}


@each
async def test_bytes_that_are_no_text_are_a_wrong_login_and_no_fault(here: Here, name: str) -> None:
    path = f"{PATHS[name]}?SessionToken=%ED%A0%80&APIKey=%FF".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", here.service.port)

    writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n" % (path, LOGINS[name]))
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()

    status = int(head.split()[1])
    assert status in {400, 401, 403, 405}
    assert ENVELOPES[name] <= Reply(status, {}, body).json().keys()


async def test_a_dialect_that_is_switched_off_is_not_there(session: aiohttp.ClientSession) -> None:
    with running(facades="") as both:
        here = Here(both, session)

        replies = [await here.ask("GET", path) for path in PATHS.values()]

    assert {(reply.status, reply.type) for reply in replies} == {(404, "application/problem+json")}


# Under a prefix

PREFIXES = {"wepay": "/wepay", "sarus": "/sarus", "taler": "/bank/v12", "onespan": "/wepay"}


class Mounted(Here):
    """Speaks to one dialect under its prefix."""

    prefix: str

    async def ask(self, method: str, path: str, body: Any = None, **headers: str | None) -> Reply:
        prefix = "" if path.startswith("/v1/") else self.prefix
        return await super().ask(method, prefix + path, body, **headers)


@pytest.fixture(scope="module")
def under() -> Iterator[Running]:
    with running(facades=",".join(f"{name}={prefix}" for name, prefix in PREFIXES.items())) as both:
        yield both


@each
async def test_each_dialect_may_be_mounted_under_a_prefix(
    under: Running, session: aiohttp.ClientSession, tenant: str, name: str
) -> None:
    mounted, plain = Mounted(under, session), Here(under, session)
    mounted.prefix = PREFIXES[name]
    dialect = await prepared(name, mounted, tenant)

    assert await mounted.id_of(await dialect.issue())

    below, other = [await mounted.ask("GET", PATHS[name] + "/x/y/z"), await mounted.ask("PATCH", PATHS[name])]
    assert dialect.no(below)[0] == 404
    assert dialect.no(other)[0] in (404, 405)
    for path in (PATHS[name], PREFIXES[name], PREFIXES[name] + "/x", PREFIXES[name] + "x" + PATHS[name]):
        nothing = await plain.ask("GET", path)
        assert (nothing.status, nothing.type) == (404, "application/problem+json")


# Wrong logins


@each
async def test_no_wrong_login_gets_anywhere_nor_changes_anything(here: Here, tenant: str, name: str) -> None:
    dialect = await prepared(name, here, tenant)
    wrong, calls = await dialect.wrong(), dialect.calls()
    asked = [
        (login, given, call, nos[number % len(nos)]) for login, given, nos in wrong for number, call in enumerate(calls)
    ]
    before = await counted(here, tenant)

    replies = await asyncio.gather(*[dialect.ask(call, given) for _, given, call, _ in asked])

    told = [(login, call, dialect.no(reply)) for (login, _, call, _), reply in zip(asked, replies, strict=True)]
    assert told == [(login, call, no) for login, _, call, no in asked]
    assert len(told) >= 36
    assert await counted(here, tenant) == before
    assert {(await dialect.ask(call, dialect.good)).status for call in calls[:2]} == {200}, "else nothing was shown"


async def counted(here: Here, tenant: str) -> tuple[int, int]:
    """How many tokens there are, and how many were revoked."""
    counts = await here.native("GET", f"/v1/tokens/count?tenant={tenant}")
    return counts["total"], counts["by_state"].get("revoked", 0)


# The store is down


@pytest.fixture
def apart() -> Iterator[Running]:
    """A service of the test's own, whose store may be stopped."""
    with running() as both:
        yield both


@pytest.fixture
async def all_four(apart: Running, session: aiohttp.ClientSession, tenant: str) -> list[Dialect]:
    here = Here(apart, session)
    return [await prepared(name, here, tenant) for name in KINDS]


async def outages(dialects: list[Dialect]) -> list[object]:
    """What each call of each dialect is told with a good login, but for those told that there is an outage."""

    async def told(dialect: Dialect, call: Call) -> object:
        reply = await dialect.ask(call, dialect.good)
        outage = dialect.no(reply) == dialect.outage and reply.headers.get("Retry-After") == "1"
        return None if outage else (type(dialect), call, reply)

    answers = await asyncio.gather(*[told(dialect, call) for dialect in dialects for call in dialect.calls()])
    assert len(answers) == 17
    return [answer for answer in answers if answer is not None]


@pytest.mark.chaos
async def test_an_outage_is_said_as_such_and_logs_nobody_out(apart: Running, all_four: list[Dialect]) -> None:
    apart.store.pause()
    frozen = await outages(all_four)
    apart.store.resume()

    async def all_are_back() -> bool:
        return {(await one.ask(one.calls()[1], one.good)).status for one in all_four} == {200}

    await wait_until(all_are_back, 20.0)
    apart.store.kill()
    gone = await outages(all_four)

    assert frozen == gone == []


async def told_to(dialect: Dialect, login: Login) -> No:
    return dialect.no(await dialect.ask(dialect.calls()[1], login))


@pytest.mark.chaos
async def test_who_cannot_be_checked_is_not_called_unknown(apart: Running, all_four: list[Dialect]) -> None:
    """A text that nobody signed is refused without the store; of all others nothing is known while it is away."""
    malformed, never = {}, {}
    for dialect in all_four:
        nos = {login: given for login, given, _ in await dialect.wrong()}
        malformed[dialect], never[dialect] = nos["forged"], nos["never issued"]
    apart.store.pause()

    told = await asyncio.gather(*[told_to(dialect, malformed[dialect]) for dialect in all_four])
    unknown = await asyncio.gather(*[told_to(dialect, never[dialect]) for dialect in all_four])

    assert [status for status, _ in told] == [403, 401, 401, 401]
    assert unknown == [dialect.outage for dialect in all_four]
