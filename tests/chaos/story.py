"""All that is known of one token, and the rules that it must keep."""

from collections.abc import Iterator, Sequence

import msgspec

from tests.chaos.clock import Clock
from tests.chaos.history import FINAL, Kept, Operation, Told

ACCEPTS = ("use", "peek", "renew", "rotate")
RENEWS = ("use", "renew")


class Violation(msgspec.Struct, frozen=True):
    rule: str
    about: str
    text: str


class Story:
    """seen: the requests about the token.  sure: the same, but with those that may have been undone as unanswered.
    of_owner: requests that end all tokens of its owner."""

    def __init__(
        self, id_: str, seen: Sequence[Operation], sure: Sequence[Operation], of_owner: Sequence[Operation],
        told: Sequence[Told], kept: Kept | None, clock: Clock,
    ) -> None:  # fmt: skip
        self.id, self.seen, self.sure, self.of_owner = id_, seen, sure, of_owner
        self.told, self.kept, self.clock = told, kept, clock
        self.accepted = [one for one in seen if one.subject == id_ and one.verb in ACCEPTS and one.outcome == "done"]
        self.issued = next((one for one in sure if one.made == id_ and one.outcome == "done"), None)
        rotations = [one for one in sure if one.subject == id_ and one.verb == "rotate"]
        self.rotations = [one for one in rotations if one.outcome != "refused"]
        self.evicted = kept is not None and kept.ended_by == "evicted"

    def violations(self, *, evictions: bool) -> Iterator[Violation]:
        rules = [self._ends(), self._lives(), self._keeps(), self._refusals(), self._uses(), self._events()]
        for found in rules:
            for rule, text in found:
                yield Violation(rule, self.id, text)
        if self.evicted and not evictions:
            yield Violation("evicted", self.id, "the store gave up a live token")

    def _tells_deadline(self, one: Operation) -> bool:
        about = one.made or one.subject
        return one.outcome == "done" and about == self.id and one.state == "active" and one.deadline_ms is not None

    def _ends(self) -> Iterator[tuple[str, str]]:
        """No acceptance that begins after an answer which says that the token is final."""
        for end in self._final():
            for one in self.accepted:
                if one.began > end.ended:
                    rule = "accepted after an acknowledged revoke" if "revoke" in end.verb else "accepted after its end"
                    yield rule, f"{one.verb} {one.began - end.ended:.3f} s after {end.verb} ({end.code or end.state})"
                    return

    def _final(self) -> Iterator[Operation]:
        for one in self.sure:
            if one.subject == self.id and (
                (one.outcome == "done" and one.verb == "revoke")
                or (one.outcome == "done" and not one.made and one.state in FINAL)
                or (one.outcome == "refused" and one.code in FINAL)
            ):
                yield one
        for one in self.of_owner:
            if one.outcome == "done" and not one.more and self.issued and self.issued.ended < one.began:
                yield one

    def _lives(self) -> Iterator[tuple[str, str]]:
        """No acceptance that begins after the deadline, by the store's clock."""
        for one in self._lasting():  # what may be undone was accepted by a deadline that may be undone as well
            began_ms, _ = self.clock.bounds(one.began, one.ended)
            until = self._last_deadline(one)
            if until is not None and began_ms > until:
                yield "accepted after its deadline", f"{one.verb} {began_ms - until:.1f} ms after it"
                return

    def _lasting(self) -> list[Operation]:
        """The acceptances that cannot be undone."""
        undone = {id(one) for one, known in zip(self.seen, self.sure, strict=True) if one is not known}
        return [one for one in self.accepted if id(one) not in undone]

    def _last_deadline(self, accepted: Operation) -> float | None:
        """The latest that the token may have had when it was accepted; None: there may have been none."""
        bounds = []
        if self.kept and self.kept.deadline_ms and not self.evicted and not self.clock.set_back:
            bounds = [float(self.kept.deadline_ms)]  # for else renewals only move it on
        bounds += [self.clock.bounds(one.began, one.ended)[1] + one.overlap_ms for one in self.rotations[:1]
                   if one.outcome == "done" and len(self.rotations) == 1 and one.began < accepted.ended]  # fmt: skip
        before = [one for one in self.sure if one is not accepted and one.began < accepted.ended]
        if self.issued and not any(one.outcome == "perhaps" and one.verb in RENEWS for one in before):
            told = [one.deadline_ms for one in before if self._tells_deadline(one)]
            bounds += [float(max(ms for ms in told if ms is not None))] if told else []
        return min(bounds, default=None)

    def _keeps(self) -> Iterator[tuple[str, str]]:
        """Nothing that was acknowledged is lost."""
        if self.kept is None:
            if self.issued:
                yield "an acknowledged token was lost", f"issued with {self.issued.verb}"
            return
        last = self._set_last()
        if not self.rotations and 0 < self.kept.deadline_ms < last:
            yield "an acknowledged renewal was lost", f"{self.kept.deadline_ms} instead of {last}"
        if self.kept.state == "active" and self.kept.end_ms is None:
            yield "a token without a life was never marked", f"its deadline was {self.kept.deadline_ms}"
        if self.kept.state == "revoked" and not self._somebody_ended_it(float("inf")):
            yield "revoked by nobody", f"by {self.kept.ended_by}"
        if self.kept.state == "active" and any(self._final()):
            yield "final, and active in the end", "the store has it as active"

    def _refusals(self) -> Iterator[tuple[str, str]]:
        """A live token is never refused: an outage logs nobody out."""
        for one in self.sure:
            if one.subject != self.id or one.outcome != "refused":
                continue
            if one.code == "unknown" and self.issued and self.issued.ended < one.began:
                yield "a token that was issued is unknown", one.verb
            elif one.code == "expired" and not self.rotations and not self.evicted:
                ended_ms, last = self.clock.latest(one.began, one.ended), self._set_last(one.began)
                if ended_ms < last:
                    yield "refused as expired before its deadline", f"{one.verb} {last - ended_ms:.1f} ms before it"
            elif one.code == "revoked" and not self._somebody_ended_it(one.ended):
                yield "refused as revoked, though nobody revoked it", one.verb
            elif one.code == "consumed" and self._uses_asked(one.ended) < (self._most() or float("inf")):
                yield "refused as consumed, though it had uses left", one.verb

    def _set_last(self, until: float = float("inf")) -> int:
        """The deadline that was set last by what had ended by then.  Of several that were set at once the earliest: the
        clock may have been set back between them."""
        told = [one for one in self.sure if one.ended < until and self._sets_deadline(one)]
        began = max((one.began for one in told), default=0.0)
        return min((one.deadline_ms or 0 for one in told if one.ended >= began), default=0)

    def _sets_deadline(self, one: Operation) -> bool:
        """A last use does, too: it renews before it ends."""
        sets = one.made == self.id or (one.subject == self.id and one.verb in RENEWS)
        return one.outcome == "done" and sets and one.deadline_ms is not None

    def _somebody_ended_it(self, until: float) -> bool:
        """Whether somebody had at least asked for it."""
        asked = [one for one in self.sure if one.subject == self.id and one.verb in ("revoke", "rotate")]
        return any(one.outcome != "refused" and one.began <= until for one in [*asked, *self.of_owner])

    def _most(self) -> int | None:
        return next((one.most for one in self.seen if one.made == self.id), None)

    def _uses_asked(self, until: float) -> int:
        asked = [one for one in self.seen if one.subject == self.id and one.verb == "use" and one.began <= until]
        return sum(one.outcome != "refused" for one in asked)

    def _uses(self) -> Iterator[tuple[str, str]]:
        most, made = self._most(), sum(one.verb == "use" for one in self._lasting())
        if most is not None and made > most:
            yield "used more often than it may be", f"{made} times, of {most}"
        if self.kept is not None and self.kept.uses < sum(
            one.outcome == "done" and one.verb == "use" and one.subject == self.id for one in self.sure
        ):
            yield "an acknowledged use was lost", f"{self.kept.uses} are written down"

    def _events(self) -> Iterator[tuple[str, str]]:
        """One that it was issued, first; exactly one that it ended, last, if it has."""
        kinds = [event.kind for event in self.told]
        ends = [kind for kind in kinds if kind in FINAL]
        state = self.kept.state if self.kept else None
        if state is None:
            if kinds:
                yield "events about a token that is not there", " ".join(kinds)
            return
        if kinds[:1] != ["issued"] or kinds.count("issued") != 1:
            yield "not told once, and first, that it was issued", " ".join(kinds)
        if ends != [state][: state in FINAL] or (ends and kinds[-1] != state):
            yield "not exactly one event of its end", f"it is {state}: {' '.join(kinds)}"
        for verb, kind in (("renew", "renewed"), ("rotate", "rotated")):
            made = sum(one.verb == verb and one.outcome == "done" and one.subject == self.id for one in self.sure)
            if kinds.count(kind) < min(made, 1 if kind == "rotated" else made):
                yield "an acknowledged transition without an event", f"{made} x {verb}: {' '.join(kinds)}"
