"""The processes below a service."""

import os
import signal
from pathlib import Path

from tests.servers import Service


def children(service: Service) -> list[int]:
    """Process ids of its workers and of its embedded store."""
    return [int(pid) for pid in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()]


def workers(service: Service) -> list[int]:
    return [pid for pid in children(service) if "service" in _command(pid)]


def embedded(service: Service) -> int:
    [pid] = [pid for pid in children(service) if "service" not in _command(pid)]
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except FileNotFoundError:
        return ""
