"""The servers of the bench, one process each, and what they cost.  Loopback and unix sockets only."""

import secrets
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.client import Monitor

from tests.bench.rivals.plain import NAIVE_DB
from tests.servers import Child, Server, Service, free_port

ADMIN = "bench-admin-token-of-more-than-20-characters"
KEYS = "bench-signing-key-of-32-characters"
_SENT = ("eval", "evalsha", "eval_ro", "evalsha_ro", "getex")  # by the service, and by the naive way
_END = "overheard-enough"


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

    @property
    def allocator(self) -> str:
        return str(self.client.info("memory")["mem_allocator"])

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

    def ran(self) -> int:
        """Commands so far, with those that scripts ran; the questions of the bench itself are left out."""
        counters = self.client.info("commandstats")
        return sum(int(one["calls"]) for name, one in counters.items() if name != "cmdstat_info")

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


class Listener(Child):
    """A program that is started with a free port and what else it needs, and is ready once it listens."""

    def __init__(self, program: Sequence[str], *words: str, environment: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        super().__init__([*program, str(self.port), *words], environment)

    def ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Plain(Listener):
    """The bare and the naive handler."""

    def __init__(self, store: Server) -> None:
        super().__init__([sys.executable, "-m", "tests.bench.rivals.plain"], str(store.socket))


def service(store: Server, **settings: object) -> Service:
    """The service itself, as it serves anybody else, one process of it unless the settings say otherwise."""
    ours = {"signing_keys": KEYS, "admin_token": ADMIN, "workers": 1, "log_level": "WARNING"}
    return Service(redis_url=store.url, **ours | settings)


def cpu_seconds(child: Child) -> float:
    """Processor time so far, user and system, of the process with its children and all their threads."""
    return sum(time.clock_gettime(_clock(pid)) for pid in (child.pid, *_children(child.pid)))


def _clock(pid: int) -> int:
    """As clock_getcpuclockid(3) makes it: in nanoseconds, where /proc/PID/stat counts in ticks of 10 ms."""
    return (~pid << 3) | 2


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
