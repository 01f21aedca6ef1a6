"""The stores that tests run on: fakeredis in this process, and each real server that can run here."""

from collections.abc import Iterator
from contextlib import ExitStack
from copy import copy
from typing import cast

import fakeredis
import redis
from redis.asyncio import Redis

from service.store import connect
from tests.servers import Server, binaries

REAL = tuple(binaries())  # never empty: without the packaged server this raises, and so no test is skipped
ALL = ("fakeredis", *REAL)


class Backend:
    """A store that is empty when a test begins.

    checked: whether the test leaves it in order; a test that breaks it on purpose says so and why.
    protocol: the RESP that clients of it speak.
    """

    def __init__(self, name: str) -> None:
        self.name, self.url = name, ""
        self.checked, self.protocol = True, 3

    def connect(self, url: str, timeout_s: float) -> Redis:
        """What stands in for `service.store.connect.client`."""
        raise NotImplementedError

    def plain(self) -> "redis.Redis":
        """A client that does not need an event loop."""
        raise NotImplementedError


class Fake(Backend):
    def __init__(self, name: str = "fakeredis") -> None:
        super().__init__(name)
        self.url = "redis://fake"
        self._server = fakeredis.FakeServer(server_type="valkey")

    def connect(self, url: str, timeout_s: float) -> Redis:
        assert url == self.url
        assert timeout_s > 0
        return cast(Redis, fakeredis.FakeAsyncRedis(server=self._server, protocol=self.protocol))

    def plain(self) -> "redis.Redis":
        return fakeredis.FakeRedis(server=self._server)


class Real(Backend):
    def __init__(self, name: str, server: Server) -> None:
        super().__init__(name)
        self.server, self.url = server, server.url
        with self.plain() as connection:
            connection.flushall()

    def connect(self, url: str, timeout_s: float) -> Redis:
        return connect.client(f"{url}?protocol={self.protocol}", timeout_s)

    def plain(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url)


def nobody(backend: Backend) -> Backend:
    """Where nobody listens."""
    gone = copy(backend)
    gone.url += ".nobody"
    return gone


class Farm:
    """The real servers of a test session: each starts when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[str, Server] = {}

    def server(self, name: str) -> Server:
        if name not in self._running:
            self._running[name] = self._stack.enter_context(Server(binaries()[name], enable_debug_command="local"))
        return self._running[name]

    def backend(self, name: str) -> Backend:
        return Fake(name) if name == "fakeredis" else Real(name, self.server(name))


def farm() -> Iterator[Farm]:
    with ExitStack() as stack:
        yield Farm(stack)
