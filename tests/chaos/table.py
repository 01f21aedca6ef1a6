"""The table of a run: fault, operations, violations."""

import time

import msgspec


class Row(msgspec.Struct, frozen=True):
    fault: str
    operations: int
    violations: int | None  # None: the scenario did not get as far as its checker
    seconds: float


STARTED = time.monotonic()
ROWS: list[Row] = []  # of this process, in the order in which the scenarios ended
NOTES: list[str] = []  # a line each, below the table


def text() -> str:
    """As Markdown that also reads well in a terminal."""
    cells = [("fault", "operations", "violations", "seconds"), *map(_cells, ROWS), _totals()]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = ["| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |" for row in cells]
    rule = "|:" + "-" * (widths[0] + 1) + "|" + "|".join("-" * (width + 1) + ":" for width in widths[1:]) + "|"
    return "\n".join([lines[0], rule, *lines[1:], *[f"- {note}" for note in NOTES]])


def _cells(row: Row) -> tuple[str, str, str, str]:
    violations = "not checked" if row.violations is None else f"{row.violations}"
    return row.fault, f"{row.operations:,}", violations, f"{row.seconds:.1f}"


def _totals() -> tuple[str, str, str, str]:
    operations, violations = sum(row.operations for row in ROWS), sum(row.violations or 0 for row in ROWS)
    return "all", f"{operations:,}", f"{violations}", f"{time.monotonic() - STARTED:.1f}"
