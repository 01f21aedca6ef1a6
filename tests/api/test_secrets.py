"""No text of a token is anywhere but in the answer that gave it.

One run puts live texts wherever a client could, at debug level, through errors and an outage, on a store that writes
an AOF and a dump and is listened to.  Then all that was written or said is searched for each text, for its 28
characters without the dressing, and for its signature alone.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from service.app import Start
from service.core.errors import REFUSALS
from service.core.seal import Sealer
from service.core.text import Texts
from service.settings import load
from tests.api.calls import ADMIN, KEYS, Caller, calling
from tests.servers import Server, Service, wait_until

PASSWORD = "correct horse battery staple"
REPLAY = "replay-key-0123456789"
PATHS = [
    "/v1/tokens", "/v1/tokens/use", "/v1/tokens/peek", "/v1/tokens/renew", "/v1/tokens/batch", "/v1/self",
    "/v1/events", "/v1/tokens/count", "/gateway/use", "/gateway/peek/tail", "/oauth2/introspect", "/k8s/tokenreview",
    "/livez", "/metrics", "/openapi.json", "/nowhere", "/TokenValidate", "/mobile_sessions", "/accounts/ann/token",
    "/api/transaction/x",
]  # fmt: skip


class Ear:
    """Hears every command that the store gets, until the store ends."""

    def __init__(self, store: Server) -> None:
        self.heard = b""
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(store.socket))
        self._connection.sendall(b"MONITOR\r\n")
        assert self._connection.recv(5) == b"+OK\r\n"
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        with self._connection, contextlib.suppress(OSError):
            while piece := self._connection.recv(65536):
                self.heard += piece

    def all(self) -> bytes:
        self._thread.join(20)
        return self.heard


def parts(text: str) -> set[str]:
    """What none may see: the text, and what is enough of it."""
    body, _, signature = text[-72:].partition(".")
    return {text, body, signature} if len(text) >= 75 else {text}


@pytest.fixture
def store() -> Iterator[Server]:
    with Server(appendonly="yes") as running:
        yield running


async def test_no_text_is_anywhere_but_in_the_answer_that_gave_it(store: Server) -> None:
    ear = Ear(store)
    with Service(
        redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, log_level="DEBUG", heartbeat_ms=200,
        events_used="true",
    ) as service:  # fmt: skip
        async with calling(service.url) as admin:
            given = await everything(admin)
            answers = [await anywhere(admin, text) for text in given[:2]]
            malformed(service, given[0])
            answers += await errors(admin, given)
            store.pause()
            answers += [str(no.body) for no in await asyncio.gather(*[admin.use(text) for text in given[:3]])]
            store.resume()
            await wait_until(lambda: _works(admin), 20.0)
            told = [await admin.ok("GET", "/v1/events", limit=1_000)]
            told += [(await admin.get(path)).body for path in ("/metrics", "/readyz", "/openapi.json")]
        service.stop()
        log = service.said()
    store.stop()

    written = b"".join(file.read_bytes() for file in store.room.rglob("*") if file.is_file())
    places = {"log": log, "answers": "".join(answers), "events, metrics": str(told),
              "store": written.decode("latin-1"), "commands": ear.all().decode("latin-1")}  # fmt: skip
    secrets = set.union(*map(parts, given)) | {ADMIN, KEYS, PASSWORD, REPLAY}
    assert len(given) >= 10
    assert len(places["commands"]) > 100_000
    assert len(places["log"]) > 1_000
    for place, content in places.items():
        assert [secret for secret in secrets if secret in content] == [], place


async def everything(admin: Caller) -> list[str]:
    """Each call once; the texts that it gave."""
    token = await admin.issue("ann", recoverable=True, life_ms=60_000, scopes=["read"])
    idempotent = (await admin.post("/v1/tokens", {"owner": "ann"}, {"Idempotency-Key": REPLAY})).json
    await admin.post("/v1/tokens", {"owner": "ann"}, {"Idempotency-Key": REPLAY})
    await admin.post("/v1/tokens", {"owner": "ben"}, {"Idempotency-Key": REPLAY})
    once, short = await admin.issue("ann", uses=1), await admin.issue("ann", life_ms=50)
    caller = await admin.issue("app", type="service", scopes=["tokens:use"])
    rotated = (await admin.post("/v1/tokens/rotate", {"token": token["token"]})).json
    cut = await admin.issue("ann")
    cut_new = (await admin.post("/v1/tokens/rotate", {"token": cut["token"], "overlap_ms": 0})).json
    revoked = await admin.issue("ann")
    await admin.post("/v1/tokens/revoke", {"token": revoked["token"]})
    all_ = [token, idempotent, once, short, caller, rotated, cut, cut_new, revoked]
    texts = [one["token"] for one in all_]
    for verb in ("use", "peek", "renew"):
        for text in texts:
            await admin.post(f"/v1/tokens/{verb}", {"token": text})
    for verb in ("use", "peek"):
        await admin.post("/v1/tokens/batch", {"verb": verb, "tokens": texts})
    await admin.call("PATCH", f"/v1/tokens/{token['id']}", {"description": "new"})
    await admin.get("/v1/tokens", owner="ann")
    await admin.call("PUT", "/v1/accounts/ann", {"password": PASSWORD})
    for method, path in (("GET", "/v1/self"), ("POST", "/v1/self/renew"), ("DELETE", "/v1/self")):
        await admin.bearing(idempotent["token"]).call(method, path)
    await wait_until(lambda: _expired(admin, short["id"]))
    await _stream(admin.bearing(caller["token"]))
    await _stream(admin)
    return [*texts, (await admin.issue("zoe"))["token"]]


async def anywhere(admin: Caller, text: str) -> str:
    """The text in every place of a request to every path; what came back, but for what gives texts by contract."""
    places: list[tuple[str, Any]] = [
        ("GET", {"params": {"token": text}}),
        ("GET", {"headers": {"Authorization": f"Bearer {text}", "X-Session-Token": text, "App-Token": text}}),
        ("GET", {"headers": {"Authorization": f"Bearer {text}, Bearer {text}", "X-Request-Id": text[:64]}}),
        ("POST", {"data": {"token": text}}),
        ("POST", {"json": {"token": text, text: 1}}),
        ("POST", {"json": {"tokens": [text], "verb": text}}),
        ("POST", {"data": text, "headers": {"Content-Type": "application/json", "Cookie": f"session={text}"}}),
        ("POST", {"headers": {"Authorization": f"Bearer {ADMIN}", "Idempotency-Key": text * 4, "If-Match": text}}),
    ]
    names = [f"/v1/tokens/{text}", f"/v1/tokens/{text}/renew", f"/{text}", f"/v1/accounts/{text}"]
    back = [await _back(admin, method, path, more) for path in PATHS for method, more in places]
    back += [await _back(admin, "GET", path, {"headers": {"Authorization": f"Bearer {ADMIN}"}}) for path in names]
    return "".join(back)


async def _back(admin: Caller, method: str, path: str, more: Any) -> str:
    more = {"timeout": aiohttp.ClientTimeout(5), **more}
    async with admin.http.request(method, admin.url + path, **more) as answer:
        if answer.content_type == "text/event-stream":
            return ""
        headers = [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() != "x-request-id"]
        return await answer.text() + "\n".join(headers)  # that id is the client's own


def malformed(service: Service, text: str) -> None:
    """What is no HTTP goes to aiohttp's own log."""
    for line in (f"GET /{text}\r\n\r\n", f"GET / HTTP/1.1\r\nHost: a\r\nAuthorization Bearer {text}\r\n\r\n",
                 f"POST /v1/self HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{text}\r\n\r\n"):  # fmt: skip
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(line.encode())
            assert text.encode() not in connection.recv(65536)


async def errors(admin: Caller, texts: list[str]) -> list[str]:
    """What refusals and problems say, of the caller's own token and of the one it asks about."""
    answers = [await admin.bearing(text).use(other) for text in texts for other in texts]
    answers += [await admin.post("/v1/tokens/use", {"token": text, "scopes": ["beyond"]}) for text in texts]
    answers += [await admin.post("/v1/tokens/use", {"token": f"{text}x", "scope": 1}) for text in texts]
    return [str(answer.body) + str(answer.headers) for answer in answers]


async def _stream(caller: Caller) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await caller.get("/v1/events", {"Accept": "text/event-stream"}, after="start")


async def _expired(caller: Caller, id_: str) -> bool:
    return bool((await caller.look(id_))["state"] == "expired")


async def _works(caller: Caller) -> bool:
    return (await caller.get("/v1/self")).status == 200


def test_no_repr_shows_a_secret() -> None:
    text, id_ = Texts([KEYS]).mint(3)
    settings = load(
        {"TOKENLIFE_SIGNING_KEYS": KEYS, "TOKENLIFE_ADMIN_TOKEN": ADMIN, "TOKENLIFE_REDIS_URL": "redis://:pass@h"}
    )
    things = [
        Texts([KEYS]), Sealer([KEYS]), settings, Start("redis://:pass@h", (KEYS,), ADMIN),
        *[kind(id=id_) for kind in REFUSALS.values()],
    ]  # fmt: skip

    shown = "".join(map(repr, things)) + "".join(map(str, things))

    assert [secret for secret in (*parts(text), KEYS, ADMIN, "pass") if secret in shown] == []
