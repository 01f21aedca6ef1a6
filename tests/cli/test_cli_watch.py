"""The verb watch, on a terminal and without one."""

import asyncio
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from service.client import Client
from tests.cli.conftest import Run
from tests.cli.test_sdk_outage import paused
from tests.cli.test_sdk_verbs import text_of
from tests.servers import ROOT, Server, wait_until

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def take_control() -> None:
    """Makes the terminal on stdin that of the new session, so that Ctrl-C there is a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A terminal with `tokenlife watch` on it."""

    def __init__(self, environment: dict[str, str], *words: str) -> None:
        self.person, self.terminal = pty.openpty()
        self.resize(100, 20)
        self.before = termios.tcgetattr(self.terminal)
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service", "watch", *words],
            cwd=ROOT, env=environment, stdin=self.terminal, stdout=self.terminal, stderr=self.terminal,
            start_new_session=True, preexec_fn=take_control,  # noqa: PLW1509  # no thread runs here yet
        )  # fmt: skip

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def frame(self) -> list[str]:
        """The last whole frame, without colours."""
        while select.select([self.person], [], [], 0)[0]:
            self.seen += os.read(self.person, 65_536)
        whole = self.seen.decode(errors="replace").split("\x1b[H")[:-1]
        return [CODES.sub("", line).rstrip() for line in whole[-1].split("\r\n")] if whole else []

    def shows(self, text: str) -> Callable[[], bool]:
        return lambda: any(text in line for line in self.frame())

    def type(self, keys: bytes) -> None:
        os.write(self.person, keys)

    def ended(self) -> int:
        deadline = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < deadline:
            self.frame()
            time.sleep(0.02)
        self.frame()
        return self.process.wait(1)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.person)
        os.close(self.terminal)


@pytest.fixture
def watching(environment: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    terminals: list[Terminal] = []

    def watch(*words: str) -> Terminal:
        terminals.append(Terminal(environment, *words))
        return terminals[-1]

    yield watch
    for terminal in terminals:
        terminal.close()


Watching = Callable[..., Terminal]


def fullness(terminal: Terminal, owner: str) -> int:
    """Cells of the owner's bar that are full."""
    return next((line.count("█") for line in terminal.frame() if line.startswith(owner)), -1)


async def test_a_bar_runs_down_and_refills_on_use(client: Client, watching: Watching) -> None:
    token = await client.issue("wilma", life_ms=4_000)
    terminal = watching("--owner", "wilma")
    await wait_until(terminal.shows("wilma"), 20.0)

    await wait_until(lambda: 0 < fullness(terminal, "wilma") < 20)
    low = fullness(terminal, "wilma")
    await client.use(text_of(token))

    await wait_until(lambda: fullness(terminal, "wilma") > low + 5)


async def test_events_appear_below_and_what_ended_leaves(client: Client, watching: Watching) -> None:
    terminal = watching("--owner", "walter")
    await wait_until(terminal.shows("walter  0 live"), 20.0)

    token = await client.issue("walter")
    await wait_until(terminal.shows("1 live"))
    await wait_until(terminal.shows(f"issued    session       walter  {token.id}"))
    await client.revoke(text_of(token))

    await wait_until(terminal.shows("revoked   session       walter"))
    await wait_until(terminal.shows("0 live"))


async def test_it_fits_the_terminal_after_a_change_of_its_size(client: Client, watching: Watching) -> None:
    for _ in range(30):
        await client.issue("wendy")
    terminal = watching("--owner", "wendy")
    await wait_until(terminal.shows("30 live"), 20.0)

    assert len(terminal.frame()) <= 20
    terminal.resize(60, 10)

    await wait_until(lambda: len(terminal.frame()) <= 10 and max(map(len, terminal.frame())) <= 60)
    assert terminal.shows("30 live, 24 not shown")()


@pytest.mark.parametrize(
    ("end", "code"),
    [(lambda it: it.type(b"q"), 0), (lambda it: it.type(b"\x03"), 130),
     (lambda it: it.process.send_signal(signal.SIGINT), 130), (lambda it: it.process.send_signal(signal.SIGTERM), 0)],
    ids=["q", "ctrl-c", "sigint", "sigterm"],
)  # fmt: skip
async def test_the_terminal_is_given_back_as_it_was(
    end: Callable[[Terminal], None], code: int, watching: Watching
) -> None:
    terminal = watching()
    await wait_until(terminal.shows("all tokens"), 20.0)

    during = termios.tcgetattr(terminal.terminal)
    end(terminal)

    assert await asyncio.to_thread(terminal.ended) == code
    assert terminal.seen.count(ENTER) == terminal.seen.count(LEAVE) == 1
    assert b"\x1b[?25h" in terminal.seen.split(LEAVE)[0].rsplit(b"\x1b[H", 1)[1]
    assert termios.tcgetattr(terminal.terminal) == terminal.before != during


@pytest.mark.chaos
async def test_an_outage_is_shown_and_gone_when_it_is_over(client: Client, watching: Watching, store: Server) -> None:
    await client.issue("wanda")
    terminal = watching("--owner", "wanda")
    await wait_until(terminal.shows("1 live"), 20.0)

    with paused(store):
        await wait_until(terminal.shows("live  ("), 20.0)
        assert terminal.shows("session")()

    await wait_until(lambda: not terminal.shows("live  (")(), 20.0)


def test_without_a_terminal_it_prints_frames(tokenlife: Run) -> None:
    tokenlife("issue", "--owner", "wim")

    done = tokenlife("watch", "--owner", "wim", "--frames", "2")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("tokenlife  wim  1 live") == 2
    assert "\x1b" not in done.stdout


def test_for_machines_a_frame_is_a_line(tokenlife: Run) -> None:
    tokenlife("issue", "--owner", "wolf")

    done = tokenlife("watch", "--owner", "wolf", "--frames", "1", "--json")

    frame = msgspec.json.decode(done.stdout)
    assert (frame["live"], frame["trouble"], [view["owner"] for view in frame["tokens"]]) == (1, "", ["wolf"])


def test_a_watch_without_a_service_ends_with_a_sentence(tokenlife: Run) -> None:
    done = tokenlife("watch", "--url", "http://127.0.0.1:9", "--timeout", "1s")

    assert done.returncode == 3
    gone = "the service cannot be reached at http://127.0.0.1:9: Connection refused"
    assert done.stderr == f"tokenlife: unavailable: {gone}\n"
