"""The embedded store: a private server process on a unix socket, its data in one directory.

It belongs to the process that starts it and ends with it, even if that is killed.  Knows nothing of tokens.
"""

import ctypes
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from service.store.binary import Binary, choose, remember, writer_of
from service.store.data_dir import EmbeddedError, data_secret, lock, private, unlock

__all__ = ["Embedded", "EmbeddedError", "data_secret"]

log = logging.getLogger(__name__)

SOCKET_PATH_BYTES = 103  # what macOS takes; Linux takes 107
NEWS_S = 2.0  # loading that takes longer is worth a line
SILENCE_S = 30.0  # a server that for so long does not even answer that it is loading is broken
STOP_S = 10.0  # writing out the last second takes far less
LAST_WORDS = 8  # lines
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


class Embedded:
    """Belongs to the process and main thread that start it, before any event loop; can be started again."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.binary: Binary | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._socket = self.data_dir / "store.sock"
        self._lock: int | None = None
        self._owner = 0

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}"

    @property
    def running(self) -> bool:
        """Only the process that started it can tell."""
        return self.process is not None and self.process.poll() is None

    def describe(self) -> str:
        title = self.binary.title if self.binary else "store, not started"
        return f"embedded {title} (data in {self.data_dir}, AOF every second)"

    def start(self) -> str:
        """The URL, once the store answers.  Raises: EmbeddedError."""
        if self.running:
            return self.url
        self.stop()  # what a server that died has left
        try:
            self._start()
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise EmbeddedError(f"The data directory {self.data_dir} is of no use: {error}.") from error
            raise
        return self.url

    def _start(self) -> None:
        private(self.data_dir)
        self._owner = os.getpid()
        self._lock = lock(self.data_dir)
        self.binary = choose(self.data_dir)
        self._socket = _socket_path(self.data_dir)
        self.process = _launched(self.binary, self._socket, self.data_dir, self._lock)
        self._wait_until_ready()
        remember(self.binary, self.data_dir)

    def stop(self) -> None:
        """Ends the server, which first writes out what it has, and leaves the data to others."""
        if os.getpid() != self._owner:  # a forked worker that unwinds must not end what all use
            return
        if self.process is not None:
            _end(self.process)
            self.process = None
        if self._socket.parent != self.data_dir:
            shutil.rmtree(self._socket.parent, ignore_errors=True)
        if self._lock is not None:
            unlock(self._lock)
            self._lock = None

    def _wait_until_ready(self) -> None:
        started = heard = time.monotonic()
        news = started + NEWS_S
        while not (answer := _ping(self._socket)).startswith(b"+PONG"):
            now = time.monotonic()
            heard = now if answer else heard
            if not self.running or now > heard + SILENCE_S:
                raise EmbeddedError(self._last_words())
            if now > news:
                log.info("The embedded store is loading its data, for %.0f s so far.", now - started)
                news = now + 5 * NEWS_S
            time.sleep(0.01)

    def _last_words(self) -> str:
        writer = writer_of(self.data_dir)
        wrote = f", last written by {writer.title}," if writer and writer != self.binary else ""
        lines = _log_file(self.data_dir).read_text(errors="replace").splitlines()[-LAST_WORDS:]
        return "\n".join([f"The {self.describe()}{wrote} did not start. Its last words:", *lines])


def _socket_path(data_dir: Path) -> Path:
    path = data_dir / "store.sock"
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        path = Path(tempfile.mkdtemp(prefix="tokenlife-"), "store.sock")
    path.unlink(missing_ok=True)
    return path


def _launched(binary: Binary, socket_path: Path, data_dir: Path, lock: int) -> subprocess.Popen[bytes]:
    with _log_file(data_dir).open("wb") as output:
        return subprocess.Popen(
            [binary.path, *_options(socket_path, data_dir)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C must not end it before the service has drained
            pass_fds=[lock],  # a server that outlives a killed service keeps the data locked
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - no thread runs yet
        )


def _die_with(parent: int) -> Callable[[], None]:
    """What the child does first: it asks to be ended, cleanly, as soon as its parent is gone (Linux only)."""

    def ask() -> None:
        if sys.platform == "linux":
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was gone before we could ask
            os._exit(1)

    return ask


def _options(socket_path: Path, data_dir: Path) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(data_dir),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",  # a full store must refuse new tokens, not forget live ones
    }
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


def _ping(path: Path) -> bytes:
    """What the server answers to PING, if it answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64)
        except OSError:
            return b""


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        log.warning("The embedded store did not end within %.0f s and was killed.", STOP_S)
        process.kill()
        process.wait()


def _log_file(data_dir: Path) -> Path:
    return data_dir / "server.log"
