"""The servers of the bench, one process each, and what they cost.  Loopback and unix sockets only."""

import os
import secrets
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.client import Monitor

from tests.bench.rivals import NAIVE_DB
from tests.servers import Child, Server, Service, free_port

ADMIN = "bench-admin-token-of-more-than-20-characters"
_SENT = ("eval", "evalsha", "eval_ro", "evalsha_ro", "getex")  # by the service, and by the naive way
_END = "overheard-enough"
_TICK = os.sysconf("SC_CLK_TCK")  # /proc counts processor time in these, a second


class Store(Server):
    """A store that nothing else uses and that writes nothing to disk, and what it says of itself."""

    def start(self) -> "Store":
        super().start()
        self.client = redis.Redis(unix_socket_path=str(self.socket))
        return self

    @property
    def name(self) -> str:
        info = self.client.info("server")
        kind = "Valkey" if "valkey_version" in info else "Redis"
        return f"{kind} {info.get('valkey_version', info['redis_version'])}"

    def hold(self, count: int, length: int) -> list[str]:
        """Keys for the naive handler, which has a database of its own: made up, so no token's text is stored."""
        keys = [secrets.token_urlsafe(length)[:length] for _ in range(count)]
        with redis.Redis(unix_socket_path=str(self.socket), db=NAIVE_DB) as there:
            there.mset(dict.fromkeys(keys, "1"))
        return keys

    def used_bytes(self) -> int:
        return int(self.client.info("memory")["used_memory"])

    def stream_bytes(self) -> int:
        streams = self.client.scan_iter(count=1000, _type="stream")
        return sum(int(self.client.memory_usage(key, samples=0) or 0) for key in streams)

    def commands(self) -> int:
        """Sent so far.  What a script does inside is counted by other names than these."""
        counters = self.client.info("commandstats")
        return sum(int(counters.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in _SENT)

    @contextmanager
    def overheard(self) -> Iterator[Counter[str]]:
        """How often each command and first argument came in meanwhile; what scripts did is left out."""
        heard: Counter[str] = Counter()
        with Monitor(self.client.connection_pool) as monitor:  # type: ignore[no-untyped-call]
            yield heard
            self.client.echo(_END)
            for entry in iter(monitor.next_command, None):
                if _END in entry["command"]:
                    break
                if entry["client_type"] != "lua":
                    heard[" ".join(entry["command"].split()[:2])] += 1


class Rivals(Child):
    """The bare and the naive handler."""

    def __init__(self, store: Server) -> None:
        self.port = free_port()
        super().__init__([sys.executable, "-m", "tests.bench.rivals", str(self.port), str(store.socket)])

    def ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def service(store: Server) -> Service:
    """The service itself, as it serves anybody else, one process of it."""
    keys = "bench-signing-key-of-32-characters"
    return Service(redis_url=store.url, signing_keys=keys, admin_token=ADMIN, workers=1, log_level="WARNING")


def cpu_seconds(child: Child) -> float:
    """Processor time of the process so far, user and system, all its threads."""
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
