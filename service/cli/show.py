"""Tokens and events for people's eyes."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from service.cli.words import bar, cells, clock, columns, fit, human, moment, plain
from service.client import Event, TokenView

BAR, SHORT_BAR, OWNER = 20, 12, 40  # columns at most; a usual row of a table fits into 120
HEAD = ("OWNER", "TYPE", "STATE", "REMAINING", "", "USES", "CREATED", "ID")


def share(remaining_ms: float | None, life_ms: int | None) -> float:
    """Of the full life that is left.  What lives for ever is always full."""
    return 1.0 if remaining_ms is None or not life_ms else remaining_ms / life_ms


def block(view: TokenView) -> Iterable[str]:
    """All that is known of a token, a line each; what is not set is left out."""
    for label, value in _facts(view):
        if value:
            yield f"{label:<12}{plain(value)}"


def _facts(view: TokenView) -> Iterable[tuple[str, str]]:
    yield "id", view.id
    yield "owner", f"{view.owner}  (type {view.type}, tenant {view.tenant})"
    yield "state", view.state + (f", {view.ended_by}, since {moment(view.ended_at_ms)}" if view.ended_at_ms else "")
    if view.active:
        yield "remaining", f"{bar(share(view.remaining_ms, view.life_ms), BAR)} {human(view.remaining_ms)}"
    yield "life", human(view.life_ms) + ("" if view.sliding else ", use does not renew it")
    yield "expires", moment(view.expires_at_ms) if view.active and view.expires_at_ms else ""
    yield "ceiling", moment(view.ceiling_at_ms) + (", reached" if view.capped else "") if view.ceiling_at_ms else ""
    yield "uses", f"{view.uses}" + (f", {view.uses_left} left" if view.uses_left is not None else "")
    yield "last use", moment(view.last_used_at_ms)
    yield "created", moment(view.created_at_ms)
    yield "scopes", " ".join(view.scopes)
    yield "description", view.description or ""
    yield "metadata", msgspec.json.encode(view.metadata).decode() if view.metadata else ""
    yield "rotated", f"to {view.rotated_to}" if view.rotated_to else ""
    yield "successor", f"of {view.rotated_from}" if view.rotated_from else ""


def table(views: Sequence[TokenView]) -> Iterable[str]:
    return columns([HEAD, *map(_row, views)])


def _row(view: TokenView) -> tuple[str, ...]:
    left = bar(share(view.remaining_ms, view.life_ms), SHORT_BAR) if view.active else ""
    time = human(view.remaining_ms) if view.active else view.ended_by or ""
    row = (
        shortened(view.owner),
        view.type,
        view.state,
        left,
        time,
        str(view.uses),
        moment(view.created_at_ms)[:16],
        view.id,
    )
    return tuple(map(plain, row))


def shortened(owner: str) -> str:
    return fit(owner, OWNER) if cells(owner) > OWNER else owner


def event_line(event: Event) -> str:
    data = event.data
    at = datetime.fromisoformat(event.time).timestamp() * 1000
    late = f"  found {human(data.lag_ms)} after its end" if data.lag_ms is not None else ""
    why = f"  ({data.ended_by})" if data.ended_by and event.kind not in ("expired", "consumed") else ""
    return plain(f"{clock(at)}  {event.kind:<8}  {fit(data.type, 12)}  {data.owner}  {event.subject}{why}{late}")
