"""The terminal as a page that is drawn over and over, and given back as it was."""

import os
import sys
import termios
from types import TracebackType
from typing import Self

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # the other page; no cursor; long lines are cut
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
HOME, CLEAR_LINE, BELOW = "\x1b[H", "\x1b[2K", "\x1b[J"


class Screen:
    """While it lasts, keys are not echoed and Ctrl-Z is just a key: nothing leaves the terminal half drawn."""

    def __enter__(self) -> Self:
        self._input = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._input) if sys.stdin.isatty() else None
        if self._before:
            quiet = termios.tcgetattr(self._input)
            quiet[3] &= ~(termios.ECHO | termios.ICANON)
            quiet[6][termios.VSUSP] = b"\0"
            termios.tcsetattr(self._input, termios.TCSANOW, quiet)
        self._write(ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(LEAVE)
        if self._before:
            termios.tcsetattr(self._input, termios.TCSAFLUSH, self._before)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        return os.get_terminal_size(sys.stdout.fileno())

    def draw(self, lines: list[str]) -> None:
        """In one write, over what stands there: no flicker."""
        self._write(HOME + "\r\n".join(CLEAR_LINE + line for line in lines) + BELOW)

    def keys(self) -> bytes:
        return os.read(self._input, 64)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
