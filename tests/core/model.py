"""The life of tokens once more, in plain Python and without a clock: what happens, happens when it is told.

A token whose life ran out is `lapsed` until a sweep, or somebody who ends it, has marked it.
"""

from dataclasses import dataclass, field
from typing import Any

ACTIVE, EXPIRED, REVOKED, CONSUMED, PURGED = "active", "expired", "revoked", "consumed", "purged"


@dataclass
class One:
    """One token, as it ought to be."""

    id: str
    text: str
    place: int
    tenant: str
    owner: str
    type: str
    life: int | None
    ceiling: int | None
    deadline: int | None
    most: int | None
    sliding: bool
    scopes: tuple[str, ...]
    uses: int = 0
    description: str | None = None
    state: str = ACTIVE
    lapsed: bool = False
    ended_at: int | None = None
    successor: str | None = None
    story: list[str] = field(default_factory=lambda: ["issued"])

    @property
    def seen(self) -> str:
        """The state that it shows, swept or not."""
        return self.unmarked if self.lapsed else self.state

    @property
    def unmarked(self) -> str:
        """What becomes of it when it is marked: after a rotation its end is a revocation."""
        return REVOKED if self.successor else EXPIRED

    def renewed(self, now: int) -> int | None:
        """The deadline that a renewal at this moment gives."""
        if self.life is None or self.deadline is None:
            return self.deadline
        return min(now + self.life, self.ceiling or now + self.life)

    def use(self, now: int) -> None:
        self.uses += 1
        if self.sliding:
            self.deadline = self.renewed(now)
        if self.uses == self.most:
            self.end(CONSUMED, now)

    def renew(self, now: int) -> None:
        self.deadline = self.renewed(now)
        self.story.append("renewed")

    def rotate(self, successor: str, ends: int, *, at_once: bool) -> None:
        self.successor, self.ceiling = successor, ends
        self.story.append("rotated")
        if at_once:
            self.end(REVOKED, ends)
        else:
            self.deadline = ends

    def lapse(self, deadline: int) -> None:
        self.deadline = self.ended_at = deadline
        self.lapsed = True

    def mark(self) -> None:
        self.end(self.unmarked, self.deadline)

    def end(self, state: str, at: int | None) -> None:
        self.state, self.lapsed, self.ended_at = state, False, at
        self.story.append(state)

    def end_now(self) -> bool:
        """What a revocation does.  Whether it ended a token that lived."""
        if self.state != ACTIVE:
            return False
        if self.lapsed:
            self.mark()
            return False
        self.end(REVOKED, None)
        return True


def matches(one: One, which: dict[str, Any]) -> bool:
    return all(getattr(one, name) == value for name, value in which.items())
