"""Durations, moments and bars, as people write and read them.  Knows no verbs."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
FULL, EMPTY, EIGHTHS = "█", "░", " ▏▎▍▌▋▊▉"


def duration_ms(text: str) -> int:
    """`30m`, `1h30m`, `45s`, `1.5s`, `250ms`, or plain milliseconds.  Raises: ValueError."""
    text = text.strip().lower()
    if text.isdecimal():
        return int(text)
    parts = PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 30m, 1h30m, 45s, 250ms or 1800000")
    return round(sum(float(number) * UNITS_MS[unit] for number, unit in parts))


def human(ms: int | None) -> str:
    """A duration in its two largest units: `29m 58s`, `3d 4h`; below ten seconds `9.4s`."""
    if ms is None:
        return "for ever"
    if ms < 1_000:
        return f"{ms}ms"
    if ms < 10_000:
        return f"{ms / 1_000:.1f}s".replace(".0s", "s")
    parts: list[str] = []
    rest = ms
    for unit, size in list(UNITS_MS.items())[:4]:
        number, rest = divmod(rest, size)
        if parts or number:
            parts.append(f"{number}{unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0"))


def moment(ms: int | None) -> str:
    """In the time zone of whoever looks."""
    if ms is None:
        return "never"
    return datetime.fromtimestamp(ms / 1000).astimezone().isoformat(sep=" ", timespec="seconds")


def clock(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]


def bar(share: float, cells: int) -> str:
    """`share` of so many cells filled, in steps of an eighth of a cell; some life always shows."""
    eighths = round(max(0.0, min(1.0, share)) * cells * 8)
    whole, rest = divmod(max(eighths, 1 if share > 0 else 0), 8)
    filled = FULL * whole + (EIGHTHS[rest] if rest else "")
    return filled + EMPTY * (cells - len(filled))


def plain(text: str) -> str:
    """Without what a terminal would obey or turn around: owners and descriptions are anybody's words."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(sign)[0] == "C" else sign for sign in text)


def cells(text: str) -> int:
    """Columns that it takes on a terminal: East Asian signs take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def fit(text: str, width: int) -> str:
    """Exactly so many columns: padded, or cut with an ellipsis."""
    missing = width - cells(text)
    if missing >= 0:
        return text + " " * missing
    while text and cells(text) > width - 1:
        text = text[:-1]
    return text + "…" + " " * (width - 1 - cells(text))


def columns(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Each column as wide as its widest word."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return ("  ".join(map(fit, row, widths)).rstrip() for row in rows)
