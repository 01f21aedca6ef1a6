"""What `watch` shows: the live tokens, each with a bar that runs down and refills when it is used, above events."""

from collections import deque
from collections.abc import Sequence

import msgspec

from service.cli.show import event_line, share
from service.cli.words import bar, fit, human, plain
from service.client import Event, TokenView

EVENTS = 100  # remembered: more than a terminal has lines
FRESH_S = 1.0  # a refilled bar stands out so long
TIME, USES, TYPE, ID = 8, 6, 12, 36  # columns
GAPS = 10  # five gaps of two columns
RESET, DIM, BOLD, GREEN, YELLOW, RED, CYAN = (f"\x1b[{code}m" for code in ("0", "2", "1", "32", "33", "31", "1;36"))


class Row(msgspec.Struct):
    """A token as it was at a moment of our own monotonic clock."""

    view: TokenView
    seen_s: float
    used_s: float = 0.0  # when its use was noticed


class Board:
    def __init__(self, what: str) -> None:
        self.what = what
        self.trouble = ""  # why what is shown may be old
        self.live = 0
        self.rows: dict[str, Row] = {}
        self.events: deque[str] = deque(maxlen=EVENTS)

    def see(self, views: Sequence[TokenView], live: int, now_s: float) -> None:
        """What there is now, in this order."""
        before, self.rows, self.live = self.rows, {}, live
        for view in views:
            row = Row(view, now_s)
            if old := before.get(view.id):
                row.used_s = now_s if view.uses > old.view.uses else old.used_s
            self.rows[view.id] = row

    def happened(self, event: Event) -> None:
        self.events.append(event_line(event))
        if event.data.state != "active":
            self.rows.pop(event.subject, None)

    def frame(self, columns: int, lines: int, now_s: float, *, color: bool) -> list[str]:
        """So many lines at most: the tokens above, the events below."""
        room = max(lines - 4, 2)
        for_tokens = min(len(self.rows), max(room - min(len(self.events), room // 3 + 1), 1))
        for_events = min(len(self.events), room - for_tokens)
        shown = list(self.rows.values())[:for_tokens]
        hidden = self.live - len(shown)
        title = f"tokenlife  {self.what}  {self.live:,} live" + (f", {hidden:,} not shown" if hidden > 0 else "")
        text = [fit(f"{title}  {self.trouble}", columns), ""]
        text += [_line(row, columns, now_s, color=color) for row in shown]
        text += ["", *(fit(line, columns) for line in list(self.events)[-for_events:])] if for_events else []
        return [_colored(line, BOLD, color=color) if number == 0 else line for number, line in enumerate(text)][:lines]


def _line(row: Row, columns: int, now_s: float, *, color: bool) -> str:
    """owner, type, bar, time, uses, id; narrow terminals go without the id, then without the type."""
    view = row.view
    left_ms = None if view.remaining_ms is None else max(0.0, view.remaining_ms - (now_s - row.seen_s) * 1000)
    part = share(left_ms, view.life_ms)
    with_id, with_type = columns >= 110, columns >= 70
    rest = columns - TIME - USES - GAPS - (ID if with_id else 0) - (TYPE if with_type else 0)
    owner = max(8, min(24, rest // 3))
    meter = bar(part, max(4, rest - owner))
    fresh = now_s - row.used_s < FRESH_S and row.used_s > 0
    shade = CYAN if fresh else GREEN if part > 1 / 2 else YELLOW if part > 1 / 5 else RED
    words = [
        fit(plain(view.owner), owner),
        fit(view.type, TYPE) if with_type else "",
        _colored(meter, shade, color=color),
    ]
    words += [
        f"{ticking(left_ms):>{TIME}}",
        f"{view.uses:>{USES}}",
        view.id if with_id else "",
    ]
    return "  ".join(word for word in words if word)


def ticking(ms: float | None) -> str:
    """Tenths of a second in the last ten, so that it can be seen running."""
    return f"{ms / 1000:.1f}s" if ms is not None and ms < 10_000 else human(None if ms is None else round(ms))


def _colored(text: str, code: str, *, color: bool) -> str:
    return f"{code}{text}{RESET}" if color else text
