"""The two processes that answer HTTP: the service and its rivals.  Loopback only."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from tests.bench.processes import running, wait_until
from tests.bench.stores import Store

ADMIN = "bench-admin-token-of-more-than-20-characters"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server(NamedTuple):
    """One process that answers HTTP on the loopback."""

    process: subprocess.Popen[bytes]
    port: int


@contextmanager
def serving(module: str, *words: str, port: int, **environment: str) -> Iterator[Server]:
    with running([sys.executable, "-m", module, *words], **environment) as process:
        wait_until(lambda: _listens(port), process)
        yield Server(process, port)


def service(store: Store) -> AbstractContextManager[Server]:
    """The service itself, as `make run` starts it, in one process on the given store."""
    port = free_port()
    return serving(
        "service",
        "serve",
        port=port,
        TOKENLIFE_REDIS_URL=f"unix://{store.path}",
        TOKENLIFE_SIGNING_KEYS="bench-signing-key-of-32-characters",
        TOKENLIFE_ADMIN_TOKEN=ADMIN,
        TOKENLIFE_PORT=str(port),
        TOKENLIFE_LOG_LEVEL="WARNING",
    )


def rivals(store: Store) -> AbstractContextManager[Server]:
    port = free_port()
    return serving("tests.bench.rivals", str(port), store.path, port=port)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
