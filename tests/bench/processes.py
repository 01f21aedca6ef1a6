"""Children of the bench: started, waited for, ended by their process id, and what they cost."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")  # /proc counts processor time in these, a second


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Processor time of the process so far, user and system, all its threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a child, ended by its own process id."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("TOKENLIFE_")}
    with subprocess.Popen(command, env=known | environment) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until(
    ready: Callable[[], object],
    process: subprocess.Popen[bytes],
    not_yet: type[Exception] = OSError,
    seconds: float = 20.0,
) -> None:
    """Ask until the process is ready.  Raises SystemExit when it ended or took too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if ready():
                return
        except not_yet:
            pass
        time.sleep(0.02)
    raise SystemExit(f"bench: {process.args!r} did not start (ended with {process.poll()})")
