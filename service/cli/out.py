"""Where the command line writes: answers to stdout, all else to stderr."""

import sys
from typing import Any

import msgspec

from service.client import TokenView

WHEN_SET = ("token", "etag", "ended_at_ms", "ended_by", "rotated_from", "rotated_to", "capped")


def say(line: str) -> None:
    """An answer."""
    sys.stdout.write(line + "\n")


def tell(line: str) -> None:
    """What is not the answer: notes, progress, complaints."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def progress(line: str) -> None:
    """Overwrites itself on a terminal; silent elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()


def say_json(value: Any) -> None:
    """One line."""
    say(msgspec.json.encode(value).decode())
    sys.stdout.flush()


def as_json(view: TokenView) -> dict[str, Any]:
    """A token as the service's own JSON has it."""
    return {name: value for name, value in msgspec.structs.asdict(view).items() if value or name not in WHEN_SET}
