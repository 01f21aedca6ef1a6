"""The stores that tests run on: fakeredis in this process, and each real server that can run here.

What belongs to the service as a whole also runs on several servers: under Sentinel, and on a cluster.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from copy import copy
from typing import Any, cast

import fakeredis
import redis
from redis.asyncio import Redis, RedisCluster

from service.store import connect
from service.store.nodes import Nodes, One
from tests.groups import Cluster, Trio
from tests.servers import Server, binaries, debugging

REAL = tuple(binaries())  # never empty: without the packaged server this raises, and so no test is skipped
ALL = ("fakeredis", *REAL)
MANY = ("sentinel", "cluster")


class Backend:
    """A store that is empty when a test begins.

    checked: whether the test leaves it in order; a test that breaks it on purpose says so and why.
    protocol: the RESP that clients of it speak.
    """

    def __init__(self, name: str) -> None:
        self.name, self.url = name, ""
        self.checked, self.protocol = True, 3

    def connect(self, url: str, timeout_s: float) -> Nodes:
        """What stands in for `service.store.connect.client`."""
        raise NotImplementedError

    def raw(self, nodes: Nodes) -> Any:
        """What a test reads and writes through."""
        node = nodes.of("")
        return node and node.redis

    def plain(self) -> Any:
        """A client that does not need an event loop."""
        raise NotImplementedError


class Fake(Backend):
    def __init__(self, name: str = "fakeredis") -> None:
        super().__init__(name)
        self.url = "redis://fake"
        self._server = fakeredis.FakeServer(server_type="valkey")

    def connect(self, url: str, timeout_s: float) -> Nodes:
        assert url == self.url
        fake = fakeredis.FakeAsyncRedis(server=self._server, protocol=self.protocol)
        return One(cast(Redis, fake), timeout_s)

    def plain(self) -> Any:
        return fakeredis.FakeRedis(server=self._server)


class Real(Backend):
    def __init__(self, name: str, server: Server) -> None:
        super().__init__(name)
        self.server, self.url = server, server.url
        with self.plain() as connection:
            connection.flushall()

    def connect(self, url: str, timeout_s: float) -> Nodes:
        return connect.client(f"{url}?protocol={self.protocol}", timeout_s)

    def plain(self) -> Any:
        return redis.Redis.from_url(self.url)


class Several(Backend):
    """A group of servers.  Under Sentinel the service has one of them at a time, in a cluster each has a part."""

    def __init__(self, name: str, group: Trio | Cluster) -> None:
        super().__init__(name)
        self.group, self.url = group, group.url
        with self.plain() as connection:
            connection.flushall()

    def connect(self, url: str, timeout_s: float) -> Nodes:
        return connect.client(f"{url}?protocol={self.protocol}", timeout_s)

    def raw(self, nodes: Nodes) -> Any:
        if isinstance(self.group, Trio):
            return super().raw(nodes)
        return RedisCluster(host="127.0.0.1", port=self.group.servers[0].port)

    def plain(self) -> Any:
        return self.group.plain()


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
        self._groups: dict[str, Trio | Cluster] = {}

    def server(self, name: str) -> Server:
        if name not in self._running:
            binary = binaries()[name]
            self._running[name] = self._stack.enter_context(Server(binary, *debugging(binary)))
        return self._running[name]

    def group(self, name: str) -> Trio | Cluster:
        if name not in self._groups:
            # As many kinds of servers as there are: the one runs the trio, the other the cluster.
            new: Trio | Cluster = Trio(REAL[-1]) if name == "sentinel" else Cluster(REAL[0])
            self._stack.enter_context(new)
            self._groups[name] = new
        return self._groups[name]

    def backend(self, name: str) -> Backend:
        if name in MANY:
            return Several(name, self.group(name))
        return Fake(name) if name == "fakeredis" else Real(name, self.server(name))


def farm() -> Iterator[Farm]:
    with ExitStack() as stack:
        yield Farm(stack)
