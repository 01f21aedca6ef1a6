"""TLS to the store: what it needs, and what is said when it does not come about.  On Redis: Valkey's wheel has none."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from service import app
from service.core.errors import Revoked, Unavailable
from service.core.events import Places, Wanted
from service.store import feed
from service.store.tls import Secure
from service.store.urls import WrongStore, read
from tests.api.calls import ADMIN, KEYS, calling
from tests.certificates import Authority, Certificate
from tests.groups import Cluster, Trio
from tests.servers import Server, Service, binaries, wait_until
from tests.store.test_connect import Anywhere
from tests.world import World

PASSWORD = "hunter2"


class Papers(NamedTuple):
    """ours vouches for those that are named as they should be, theirs is another authority."""

    ours: Authority
    theirs: Authority
    good: Certificate
    elsewhere: Certificate
    expired: Certificate
    foreign: Certificate
    client: Certificate
    locked: Certificate


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    assert "redis" in binaries(), "redis-server is missing (Debian: apt-get install redis-server); it speaks TLS here"
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    return Papers(
        ours, theirs, ours.vouches("good"), ours.vouches("elsewhere", "cache.example"),
        ours.vouches("expired", expired=True), theirs.vouches("foreign"), ours.vouches("client"),
        ours.vouches("locked", password="open sesame"),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "BLOCK_MS", 50)
    monkeypatch.setattr(feed, "PAUSE_S", 0.05)
    monkeypatch.setattr(app, "AWAY_S", 0.05)


def store(options: Mapping[str, str] | None = None, **more: str) -> Server:
    return Server(binaries()["redis"], tcp=True, tls=options, **more)


def trusting(url: str, papers: Papers, own: Certificate | None = None, **more: str) -> str:
    """own: the certificate that a client shows."""
    options = {"ssl_ca_certs": papers.ours.file} | ({"ssl_certfile": own.cert, "ssl_keyfile": own.key} if own else {})
    return f"{url}?" + "&".join(f"{name}={value}" for name, value in {**options, **more}.items())


async def heard(world: World, after: Places, number: int) -> list[str]:
    kinds: list[str] = []
    async for chunk in world.feed.follow(after, Wanted(), 30.0):
        kinds += [event.kind for event, _ in chunk]
        if len(kinds) >= number:
            break
    return kinds


async def lives(world: World) -> None:
    """Given a store that answers: a token's life, and what those hear of it who follow."""
    listening = asyncio.ensure_future(heard(world, await world.feed.now(), 2))

    issued = await world.issue()
    used = await world.tokens.use(issued.text)
    await world.tokens.revoke(issued.text)

    assert used.uses == 1
    with pytest.raises(Revoked):
        await world.tokens.use(issued.text)
    assert await asyncio.wait_for(listening, 5.0) == ["issued", "revoked"]


async def test_a_private_authority_is_named_in_the_url(papers: Papers) -> None:
    with store(papers.ours.server(papers.good)) as server:
        async with World(Anywhere(trusting(server.url, papers))) as world:
            await lives(world)


async def test_a_store_that_asks_for_a_certificate_is_shown_one(papers: Papers) -> None:
    with store(papers.ours.server(papers.good, clients=True)) as server:
        for url in (
            trusting(server.url, papers, papers.client),
            trusting(server.url, papers, papers.locked, ssl_password="open%20sesame"),
        ):
            async with World(Anywhere(url)) as world:
                await lives(world)


@pytest.mark.parametrize("kind", [Trio, Cluster])
async def test_so_are_several_servers_and_their_sentinels(
    kind: type[Trio | Cluster], papers: Papers, caplog: pytest.LogCaptureFixture
) -> None:
    with kind("redis", tls=papers.ours.server(papers.good, clients=True)) as group:
        async with World(Anywhere(trusting(group.url, papers, papers.locked, ssl_password="open%20sesame"))) as world:
            await lives(world)
        caplog.clear()  # a cluster that was formed just now may not be up at once

        said = await waits(trusting(group.url, papers, papers.foreign), caplog)

    assert said == "TLS: the store refused: tlsv1 alert unknown ca"


class Amiss(NamedTuple):
    """What a store is, how it is called, and what is said of that."""

    serves: Callable[[Papers], Mapping[str, str] | None]
    url: Callable[[str, Papers], str]
    said: str
    timeout_ms: int = 5_000


def shows(name: str) -> Callable[[Papers], Mapping[str, str]]:
    return lambda papers: papers.ours.server(getattr(papers, name))


def asks(papers: Papers) -> Mapping[str, str]:
    return papers.ours.server(papers.good, clients=True)


NOT_ACCEPTED = "TLS: the store's certificate is not accepted: "
AMISS = {
    "an authority that is not trusted": Amiss(
        shows("foreign"), trusting, f"{NOT_ACCEPTED}unable to get local issuer certificate"
    ),
    "no authority": Amiss(
        shows("good"), lambda url, _: f"{url}?", f"{NOT_ACCEPTED}self-signed certificate in certificate chain"
    ),
    "another host": Amiss(
        shows("elsewhere"), trusting,
        f"{NOT_ACCEPTED}IP address mismatch, certificate is not valid for '127.0.0.1'",
    ),
    "another name": Amiss(
        shows("good"), lambda url, papers: trusting(url.replace("127.0.0.1", "localhost"), papers),
        f"{NOT_ACCEPTED}Hostname mismatch, certificate is not valid for 'localhost'",
    ),
    "its time is over": Amiss(shows("expired"), trusting, f"{NOT_ACCEPTED}certificate has expired"),
    "no TLS where it is asked for": Amiss(
        lambda _: None, lambda url, papers: trusting(url.replace("redis://", "rediss://"), papers),
        "TLS: the store does not speak it; write redis:// instead of rediss://",
        400,  # all of which it takes: Redis waits for the end of what it takes for a line
    ),
    "TLS where none is asked for": Amiss(
        shows("good"), lambda url, _: url.replace("rediss://", "redis://"),
        "TLS: the store speaks it; write rediss:// instead of redis://",
    ),
    "TLS and certificates where none is asked for": Amiss(
        asks, lambda url, _: url.replace("rediss://", "redis://"),
        "TLS: the store speaks it; write rediss:// instead of redis://",
    ),
    "no certificate where one is asked for": Amiss(
        asks, trusting, "TLS: the store refused: tlsv13 alert certificate required"
    ),
    "none that the store trusts": Amiss(
        asks, lambda url, papers: trusting(url, papers, papers.foreign),
        "TLS: the store refused: tlsv1 alert unknown ca",
    ),
    "an older TLS": Amiss(
        lambda papers: {**shows("good")(papers), "tls-protocols": "TLSv1.2"},
        lambda url, papers: trusting(url, papers, ssl_min_version="772"),
        "TLS: the store refused: tlsv1 alert protocol version",
    ),
}  # fmt: skip


@pytest.mark.parametrize("amiss", AMISS.values(), ids=AMISS)
async def test_one_line_says_what_is_amiss_and_nobody_is_called_invalid(
    amiss: Amiss, papers: Papers, caplog: pytest.LogCaptureFixture
) -> None:
    with store(amiss.serves(papers)) as server:
        url = amiss.url(server.url.replace("://", f"://:{PASSWORD}@"), papers)

        said = await waits(url, caplog, amiss.timeout_ms)

    assert said == amiss.said
    assert PASSWORD not in caplog.text


async def test_so_does_what_answers_in_another_language_at_once(
    papers: Papers, caplog: pytest.LogCaptureFixture
) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-DENIED this is no place for you\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        said = await waits(trusting(f"rediss://127.0.0.1:{port}", papers), caplog)

    assert said == "TLS: the store does not speak it; write redis:// instead of rediss://"


async def waits(url: str, caplog: pytest.LogCaptureFixture, timeout_ms: int = 5_000) -> str:
    """What a service says that waits for this store; it has looked at it at least twice."""
    async with World(Anywhere(url), ready=False, store_timeout_ms=timeout_ms) as world:
        text, _ = world.texts.mint(0)
        looks = Looks(world)
        waiting = asyncio.ensure_future(world.service.prepare())
        await wait_until(lambda: looks.number >= 2, timeout_s=10)
        with pytest.raises(Unavailable):
            await world.tokens.use(text)
        world.service.stopping.set()
        await waiting

    [line] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.getMessage() == "waiting for the store"
    return str(vars(line)["reason"])


class Looks:
    """Counts them."""

    def __init__(self, world: World) -> None:
        self.number, self._look = 0, world.service._look_at_store
        world.service._look_at_store = self  # type: ignore[method-assign]

    async def __call__(self) -> None:
        try:
            await self._look()
        finally:
            self.number += 1


def test_what_is_slow_to_make_is_made_once_for_all_connections_until_a_file_changes(papers: Papers) -> None:
    names = {"ssl_ca_certs": papers.ours.file, "ssl_certfile": papers.client.cert, "ssl_keyfile": papers.client.key}
    files: dict[str, Any] = {name: str(file) for name, file in names.items()}

    both, other = [Secure(**files), Secure(**files)], Secure(**files, ssl_check_hostname=False)
    before = [one.context() for one in both]
    papers.foreign.put_over(papers.client)
    after = [one.context() for one in both]

    assert before[0] is before[1] is not other.context()
    assert after[0] is after[1] is not before[0]


@pytest.mark.parametrize("whose", ["good", "client"])
async def test_a_certificate_that_is_not_trusted_any_more_is_an_outage_until_it_is(whose: str, papers: Papers) -> None:
    """The files are read for each new connection, so one that was renewed needs no restart of the service."""
    with store(papers.ours.server(papers.good, clients=True)) as server:
        async with World(Anywhere(trusting(server.url, papers, papers.client))) as world:
            issued = await world.issue()
            listening = asyncio.ensure_future(heard(world, await world.feed.now(), 1))
            bad, good = papers.foreign, papers.ours.vouches("renewed")

            renew(server, getattr(papers, whose), bad)
            # The first call may find that its connection is gone, and no more.
            await wait_until(lambda: refused(world.tokens.use(issued.text)))
            await wait_until(lambda: refused(world.issue()))
            renew(server, getattr(papers, whose), good)
            await wait_until(lambda: served(world.tokens.use(issued.text)))
            await wait_until(lambda: served(world.issue()))

            assert (await asyncio.wait_for(listening, 5.0))[0] == "issued"


async def refused(call: Awaitable[object]) -> bool:
    """By TLS; no other answer than that there is none will do."""
    with pytest.raises(Unavailable) as no:
        await call
    return no.value.reason.startswith("TLS: ")


async def served(call: Awaitable[object]) -> bool:
    with contextlib.suppress(Unavailable):
        await call
        return True
    return False


def renew(server: Server, old: Certificate, new: Certificate) -> None:
    """And all have to connect anew."""
    new.put_over(old)
    with server.plain() as admin:
        files = [word for name in ("tls-cert-file", "tls-key-file") for word in (name, server.tls[name])]
        admin.execute_command("CONFIG", "SET", *files)  # whatever they hold now
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def test_a_store_that_is_frozen_says_no_goodbye_and_none_is_waited_for(papers: Papers) -> None:
    with store(papers.ours.server(papers.good)) as server, contextlib.ExitStack() as stack:
        async with World(Anywhere(trusting(server.url, papers)), store_timeout_ms=300) as world:
            issued = await world.issue()
            await world.tokens.use(issued.text)
            server.pause()
            stack.callback(server.resume)
            with pytest.raises(Unavailable):
                await world.tokens.use(issued.text)

            for node in await world.link.nodes.each():
                await asyncio.wait_for(node.drop(), 0.2)


async def test_callers_get_their_503_meanwhile_and_no_restart_is_needed(papers: Papers) -> None:
    shown, again = papers.ours.vouches("shown"), papers.ours.vouches("again")
    papers.expired.put_over(shown)
    with store(papers.ours.server(shown)) as server, contextlib.ExitStack() as stack:
        service = Service(redis_url=trusting(server.url, papers), signing_keys=KEYS, admin_token=ADMIN)
        stack.callback(service.close)
        service.launch()
        await wait_until(lambda: "waiting for the store" in service.said(), timeout_s=20)
        async with calling(service.url) as admin:
            early = await admin.post("/v1/tokens", {"owner": "ann"})
            renew(server, shown, papers.good)
            await wait_until(lambda: asyncio.to_thread(service.ready), timeout_s=20)
            token = await admin.issue()

            renew(server, shown, papers.foreign)
            path = f"/v1/tokens/{token['id']}"
            meanwhile = [await admin.use(token["token"]), await admin.get(path), await admin.call("DELETE", path)]
            await wait_until(lambda: "no connection to the store" in service.said())
            renew(server, shown, again)
            used = await admin.use(token["token"])
            revoked = await admin.call("DELETE", path)
            said = service.said()

    assert [(answer.status, answer.code) for answer in (early, *meanwhile)] == [(503, "unavailable")] * 4
    assert (used.status, revoked.status) == (200, 200)
    assert reasons(said, "waiting for the store") == [f"{NOT_ACCEPTED}certificate has expired"]
    assert reasons(said, "no connection to the store") == [f"{NOT_ACCEPTED}unable to get local issuer certificate"]


def reasons(said: str, message: str) -> list[str]:
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [line["reason"] for line in lines if line["message"] == message]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("ssl_ca_certs={room}/nothing.pem", "ssl_ca_certs: No such file or directory"),
        ("ssl_ca_certs={room}/client.key", "the TLS options do not do: no certificate or crl found"),
        ("ssl_certfile={room}/client.pem&ssl_keyfile={room}/nothing.key", "ssl_keyfile: No such file or directory"),
        ("ssl_certfile={room}/client.pem&ssl_keyfile={room}/good.key", "do not do: key values mismatch"),
        ("ssl_certfile={room}/locked.pem&ssl_keyfile={room}/locked.key", "ssl_password does not open it"),
        ("ssl_certfile={room}/locked.pem&ssl_keyfile={room}/locked.key&ssl_password=hunter2", "does not open it"),
        ("ssl_certfile={room}/client.pem", "ssl_certfile or ssl_keyfile is not PEM, has no key"),
        ("ssl_keyfile={room}/client.key", "certfile should be a valid filesystem path"),
        ("ssl_min_version=7", "Unsupported TLS/SSL version 0x7"),
        ("ssl_ciphers=none", "No cipher can be selected"),
        ("ssl_cert_reqs=sometimes", "Invalid SSL Certificate Requirements Flag: sometimes"),
        ("ssl_colour=red", "the option 'ssl_colour' is not known"),
    ],
)
@pytest.mark.usefixtures("papers")
def test_files_and_options_that_do_not_do_are_named_at_the_start(options: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(WrongStore, match=f"^TOKENLIFE_REDIS_URL: .*{what}.*\\.$") as wrong:
        read(f"rediss://one?{options.format(room=tmp_path)}")

    assert PASSWORD not in str(wrong.value)
