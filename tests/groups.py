"""Servers that belong together: a cluster; and a master, its replica and the three sentinels that mind them."""

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import redis
from redis.cluster import ClusterNode

from tests.servers import BUS, REST_S, START_S, Server, binaries

SLOTS = 16_384
MASTER = "main"
NEVER_MS = 60_000  # no failover: a busy machine is slow at times
# A replica's first sync would else begin 5 s later.
COMMON = {"repl_diskless_sync_delay": "0"}


def wait_for(predicate: Callable[[], object], timeout_s: float = START_S) -> None:
    """Until it is true; who cannot answer yet has not."""
    deadline = time.monotonic() + timeout_s
    while not _true(predicate):
        assert time.monotonic() < deadline, f"not true within {timeout_s} s"
        time.sleep(REST_S)


def _true(predicate: Callable[[], object]) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(predicate())
    return False


def ask(server: Server, *words: Any) -> Any:
    with server.plain() as client:
        return client.execute_command(*words)


def replication(server: Server) -> dict[str, Any]:
    with server.plain() as client:
        found: dict[str, Any] = client.info("replication")
        return found


class Group:
    """Servers that start together and end together.  tls: what they speak it with, among themselves too."""

    url: str

    def __init__(self, tls: Mapping[str, str] | None = None) -> None:
        self.tls, self.scheme = tls, "rediss" if tls else "redis"
        self.stack = contextlib.ExitStack()
        self.servers: list[Server] = []

    def __enter__(self) -> Self:
        try:
            self.form()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def form(self) -> None:
        raise NotImplementedError

    def add(self, server: Server) -> Server:
        self.servers.append(self.stack.enter_context(server))
        return server

    def replica_of(self, master: Server) -> Server:
        [found] = [one for one in self.servers if one.running and _follows(one, master)]
        return found


class Cluster(Group):
    """Masters that share the slots evenly, each with so many replicas.  patience_ms: after which one has failed."""

    def __init__(
        self, binary: str = "valkey", masters: int = 3, replicas: int = 0, patience_ms: int = NEVER_MS,
        tls: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(tls and {**tls, "tls-cluster": "yes"})
        self.binary, self.masters, self.replicas, self.patience_ms = binary, masters, replicas, patience_ms
        self.buses: list[int] = []  # as they are announced
        self._client: redis.RedisCluster | None = None

    @property
    def url(self) -> str:  # type: ignore[override]
        return f"{self.scheme}+cluster://" + ",".join(f"127.0.0.1:{one.announced}" for one in self.servers[:3])

    def form(self) -> None:
        for _ in range(self.masters * (1 + self.replicas)):
            self.join()
        heads, others = self.servers[: self.masters], self.servers[self.masters :]
        for number, one in enumerate(heads):
            first, behind = (SLOTS * place // self.masters for place in (number, number + 1))
            ask(one, "CLUSTER", "ADDSLOTS", *range(first, behind))
        wait_for(lambda: all(self.knows_all(one) for one in self.servers))
        for number, one in enumerate(others):
            ask(one, "CLUSTER", "REPLICATE", node_id(heads[number % self.masters]))
        wait_for(lambda: all(replication(one)["master_link_status"] == "up" for one in others))
        wait_for(lambda: all(self._sound(one) for one in self.servers))

    def join(self) -> Server:
        """One more node, without slots."""
        options = {"cluster_enabled": "yes", "cluster_node_timeout": str(self.patience_ms)}
        new = Server(binaries()[self.binary], tcp=True, tls=self.tls, **COMMON, **options)
        self.buses.append(new.port + BUS)
        self.add(new)
        ask(new, "CLUSTER", "SET-CONFIG-EPOCH", len(self.servers))
        if len(self.servers) > 1:
            ask(new, "CLUSTER", "MEET", "127.0.0.1", self.servers[0].announced, self.buses[0])
        return new

    def plain(self) -> contextlib.AbstractContextManager[Any]:
        """One client for all: to make one takes longer than most tests."""
        if self._client is None:
            nodes = [ClusterNode("127.0.0.1", one.port) for one in self.servers]  # type: ignore[no-untyped-call]
            self._client = self.stack.enter_context(redis.RedisCluster(startup_nodes=nodes))
        return contextlib.nullcontext(self._client)

    def master_of(self, slot: int) -> Server:
        """By what the living say of themselves."""
        [found] = [one for one in self.servers if one.running and _serves(one, slot)]
        return found

    def taken_over(self, slot: int, old: Server) -> bool:
        return any(one is not old and one.running and _serves(one, slot) for one in self.servers)

    def knows_all(self, one: Server) -> bool:
        lines = ask(one, "CLUSTER", "NODES").decode().splitlines()
        return len(lines) == len(self.servers) and not any("handshake" in line for line in lines)

    def _sound(self, one: Server) -> bool:
        rows = ask(one, "CLUSTER", "SLOTS")
        whole = sum(row[1] - row[0] + 1 for row in rows) == SLOTS
        return whole and all(len(row) == 3 + self.replicas for row in rows)


def node_id(server: Server) -> str:
    return str(ask(server, "CLUSTER", "MYID").decode())


def _serves(server: Server, slot: int) -> bool:
    with contextlib.suppress(redis.RedisError):
        return any(
            row[0] <= slot <= row[1] and row[2][1] == server.announced for row in ask(server, "CLUSTER", "SLOTS")
        )
    return False


def _follows(one: Server, master: Server) -> bool:
    with contextlib.suppress(redis.RedisError):
        said = replication(one)
        return bool(said["role"] == "slave" and said["master_port"] == master.announced)
    return False


class Trio(Group):
    """servers: the master, then its replicas.  patience_ms: after which the master has failed."""

    def __init__(
        self, binary: str = "valkey", replicas: int = 1, patience_ms: int = NEVER_MS,
        tls: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(tls and {**tls, "tls-replication": "yes"})
        self.binary, self.replicas, self.patience_ms = binary, replicas, patience_ms
        self.sentinels: list[Server] = []

    @property
    def url(self) -> str:  # type: ignore[override]
        seats = ",".join(f"127.0.0.1:{one.announced}" for one in self.sentinels)
        return f"{self.scheme}+sentinel://{seats}/{MASTER}"

    def form(self) -> None:
        master = self.add(Server(binaries()[self.binary], tcp=True, tls=self.tls, **COMMON))
        follows = f"127.0.0.1 {master.announced}"
        for _ in range(self.replicas):
            self.add(Server(binaries()[self.binary], tcp=True, tls=self.tls, **COMMON, replicaof=follows))
        wait_for(lambda: all(replication(one)["master_link_status"] == "up" for one in self.servers[1:]))
        self.sentinels = [self.stack.enter_context(self.sentinel(master)) for _ in range(3)]
        wait_for(lambda: all(self._minds(one) for one in self.sentinels))

    def master(self) -> Server:
        """As the sentinels name it."""
        ports = {int(ask(one, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1]) for one in self.sentinels}
        [found] = [one for one in self.servers if {one.announced} == ports]
        return found

    def plain(self) -> "redis.Redis":
        return self.servers[0].plain()

    def sentinel(self, master: Server) -> Server:
        one = Server(binaries()[self.binary], tcp=True, tls=self.tls)
        file = one.room / "sentinel.conf"  # it writes there what it learns
        place = "".join(f"{name} {value}\n" for name, value in one.place.items())
        file.write_text(
            f"{place}dir {one.room}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {master.announced} 2\n"
            f"sentinel down-after-milliseconds {MASTER} {self.patience_ms}\n"
            f"sentinel failover-timeout {MASTER} {max(3_000, self.patience_ms)}\n"
        )
        one.command = [one.command[0], str(file), "--sentinel"]
        return one

    def _minds(self, one: Server) -> bool:
        with one.plain() as client:
            [state] = client.sentinel_masters().values()
            return bool(
                state["num-other-sentinels"] == 2 and state["num-slaves"] == self.replicas and not state["is_sdown"]
            )
