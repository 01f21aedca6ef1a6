"""Goes over a history and says what the service must not have done.

A request without an answer, and one that failed (503), may have taken effect, at once or later, or not at all: a rule
that needs an effect counts it as none, a rule that an effect would excuse counts it as one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from tests.chaos.clock import Clock
from tests.chaos.history import FINAL, UNREACHABLE, History, Operation
from tests.chaos.story import Story, Violation

TIMEOUT_S = 1.0  # of the store, as scenarios set it
MARGIN_S = 1.0  # some requests ask the store twice; and the machine is busy


class Rules(msgspec.Struct, frozen=True):
    """What else may be.

    limit_s: what a request may take.  silent: whether some get no answer (the service was killed).
    undone: between such moments the store could not yet have written down what it acknowledged.
    kept: what must be kept nevertheless, once it is acknowledged.
    evictions: whether the store may have evicted tokens.
    """

    limit_s: float = TIMEOUT_S + MARGIN_S
    silent: bool = False
    undone: tuple[tuple[float, float], ...] = ()
    kept: tuple[str, ...] = ()
    evictions: bool = False


def check(history: History, rules: Rules | None = None) -> list[Violation]:
    rules = rules or Rules()
    found = [Violation("the store is not in order", "", line.text) for line in history.disorders]
    for operation in history.operations:
        found += _answers(operation, rules)
    for story in stories(history, rules):
        found += story.violations(evictions=rules.evictions)
    return [*found, *_nobodys(history)]


def stories(history: History, rules: Rules) -> Iterator[Story]:
    """All that is known of each token."""
    clock, known = Clock(history.samples), [_as_known(operation, rules) for operation in history.operations]
    seen, sure, of_owner = _by_token(history.operations), _by_token(known), defaultdict(list)
    for operation in known:
        if operation.verb == "revoke_owner":
            of_owner[operation.owner].append(operation)
    told = defaultdict(list)
    for event in history.told:
        told[event.id].append(event)
    kept = {one.id: one for one in history.kept}
    for id_ in seen.keys() | told.keys() | kept.keys():
        owner = kept[id_].owner if id_ in kept else next((one.owner for one in seen[id_] if one.made == id_), "")
        yield Story(id_, seen[id_], sure[id_], of_owner[owner], told[id_], kept.get(id_), clock)


def _by_token(operations: Sequence[Operation]) -> "defaultdict[str, list[Operation]]":
    found: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        for id_ in {operation.subject, operation.made} - {""}:
            found[id_].append(operation)
    return found


def _as_known(operation: Operation, rules: Rules) -> Operation:
    """What was acknowledged while it could not be written down may be undone."""
    kept = operation.verb in rules.kept and operation.outcome == "done"
    if kept or not any(first <= operation.ended <= last for first, last in rules.undone):
        return operation
    return msgspec.structs.replace(operation, status=0, code="", state="", deadline_ms=None)


def _answers(operation: Operation, rules: Rules) -> Iterator[Violation]:
    about, what = operation.subject or operation.made, f"{operation.verb}: {operation.status} {operation.code}"
    if operation.waited > rules.limit_s:
        yield Violation("answered too late", about, f"{what} after {operation.waited:.2f} s")
    if _mistaken(operation):
        yield Violation("another's answer", about, f"{what} about {operation.told} of {operation.told_owner}")
    if operation.status == 0 and not rules.silent:
        yield Violation("not answered", about, what)
    elif operation.outcome == "perhaps" and operation.status not in (0, 503):
        yield Violation("failed, but not as unavailable", about, what)
    elif operation.outcome == "refused" and operation.code not in (*FINAL, "unknown", UNREACHABLE):
        yield Violation("refused for no reason", about, what)


def _mistaken(one: Operation) -> bool:
    """Whether the answer is about another token than the one that was presented, or another owner's."""
    another = one.told not in ("", one.subject) and not one.made
    return another or one.told_owner not in ("", one.owner)


def _nobodys(history: History) -> Iterator[Violation]:
    """Tokens that nobody asked for: each that is not known must be of a request whose answer was lost."""
    known = {one.made for one in history.operations}
    answered = {one.key for one in history.operations if one.key and one.outcome == "done"}
    lost = {
        (one.owner, one.key or number)  # however often it was repeated, one with a key makes one token
        for number, one in enumerate(history.operations)
        if one.verb in ("issue", "rotate") and one.outcome == "perhaps" and one.key not in answered
    }
    found = Counter(one.owner for one in history.kept if one.id not in known)
    for owner, number in (found - Counter(owner for owner, _ in lost)).items():
        yield Violation("tokens that nobody asked for", owner, f"{number} more than requests without an answer")
