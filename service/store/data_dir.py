"""The directory of the embedded store: who holds it, and the small files in it."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TAKEOVER_S = 10.0  # how long the server of a service that was killed may take to leave


class EmbeddedError(Exception):
    """The embedded store cannot run; the message tells people why."""


def data_secret(data_dir: Path, name: str, make: Callable[[], str]) -> tuple[str, bool]:
    """The secret kept under that name in a file that only its owner reads, and whether it had to be made now.

    To be called by the one who holds the data: two at once would each make one, and one of them be lost.
    """
    path = data_dir / name
    if path.exists() and (kept := path.read_text().strip()):
        return kept, False
    private(data_dir)
    made = make()
    write_whole(path, made.encode())
    return made, True


def private(data_dir: Path) -> None:
    """Makes the directory, for its owner only, where it does not exist."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def lock(data_dir: Path) -> int:
    """The open lock file, for `unlock`.  Raises: EmbeddedError while another service has it."""
    file = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + TAKEOVER_S
    while not _taken(file):
        owner = os.pread(file, 20, 0).decode()
        if _lives(owner) or time.monotonic() > deadline:
            os.close(file)
            raise EmbeddedError(f"The data in {data_dir} are in use by another service, process {owner}.")
        time.sleep(0.05)
    os.ftruncate(file, 0)
    os.pwrite(file, str(os.getpid()).encode(), 0)
    return file


def unlock(file: int) -> None:
    fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough: forked workers hold it open, too
    os.close(file)


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(process_id: str) -> bool:
    try:
        os.kill(int(process_id), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's, but there
        return True
    return True


def write_whole(path: Path, content: bytes) -> None:
    """Replaces the file in one step, for its owner only; a crash leaves the old one or the new one."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with _synced(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
        os.write(file, content)
    new.replace(path)
    with _synced(path.parent, os.O_RDONLY):
        pass  # so that the new name lasts, too


@contextmanager
def _synced(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags, 0o600)
    try:
        yield file
        os.fsync(file)
    finally:
        os.close(file)
