"""The checker finds what it is there to find: each rule is broken once by a history that is otherwise in order."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.chaos.checker import Rules, check
from tests.chaos.clock import Clock
from tests.chaos.history import AnyLine, Disorder, History, Kept, Operation, Sample, Told

pytestmark = pytest.mark.chaos

OFFSET_MS = 5_000_000.0  # the store's clock at our second 0
LIFE_MS = 10_000


def at(second: float) -> int:
    return round(OFFSET_MS + second * 1000)


def clock(last: int = 100, offset_ms: float = OFFSET_MS) -> list[Sample]:
    return [Sample(before=each, after=each + 0.001, store_ms=offset_ms + each * 1000 + 0.5) for each in range(last)]


def asked(verb: str, began: float, status: int = 200, **more: Any) -> Operation:
    given: dict[str, Any] = {"subject": "t", "owner": "ann", "ended": began + 0.1} | more
    return Operation(verb=verb, began=began, status=status, **given)


def live(verb: str, began: float, **more: Any) -> Operation:
    """Accepted; a use and a renewal put it back to full life."""
    return asked(verb, began, state="active", deadline_ms=at(began + 0.05) + LIFE_MS, **more)


def peeked(began: float) -> Operation:
    return asked("peek", began, state="active")


def refused(verb: str, began: float, code: str) -> Operation:
    return asked(verb, began, 410 if code == "expired" else 401, code=code)


ISSUED = live("issue", 1, status=201, subject="", made="t")
USED = live("use", 2)
REVOKED = asked("revoke", 4, state="revoked")
KEPT = Kept(id="t", state="revoked", owner="ann", deadline_ms=at(2.05) + LIFE_MS, uses=1, ended_by="request")
ALIVE = replace(KEPT, state="active", ended_by="-", end_ms=KEPT.deadline_ms)
EXPIRED = replace(KEPT, state="expired", ended_by="life")


def told(*kinds: str, id_: str = "t") -> list[Told]:
    return [Told(id=id_, kind=kind, at_ms=at(1)) for kind in kinds]


ORDER: list[AnyLine] = [*clock(), ISSUED, USED, REVOKED, refused("use", 5, "revoked"), KEPT, *told("issued", "revoked")]
LIVES: list[AnyLine] = [*clock(), ISSUED, USED, ALIVE, *told("issued")]
ENDS: list[AnyLine] = [*clock(), ISSUED, USED, refused("peek", 13, "expired"), EXPIRED, *told("issued", "expired")]


# With a key, repeated, answered.
AGAIN: list[AnyLine] = [
    *LIVES, asked("issue", 1, 503, subject="", key="k"), live("issue", 2, status=201, subject="", made="y", key="k"),
    replace(ALIVE, id="y", uses=0), *told("issued", id_="y"),
]  # fmt: skip


def found(lines: list[AnyLine], rules: Rules | None = None) -> set[str]:
    history = History()
    history.add(*lines)
    return {violation.rule for violation in check(history, rules)}


def without(lines: list[AnyLine], *gone: AnyLine) -> list[AnyLine]:
    return [line for line in lines if line not in gone]


@pytest.mark.parametrize("lines", [ORDER, LIVES, ENDS, AGAIN])
def test_what_is_in_order_is_left_alone(lines: list[AnyLine]) -> None:
    assert found(lines) == set()


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ("accepted after an acknowledged revoke", [*ORDER, peeked(5)]),
        ("accepted after an acknowledged revoke", [*LIVES, asked("revoke_owner", 3, subject=""), live("use", 4)]),
        ("accepted after its end", [*LIVES, refused("use", 5, "revoked"), asked("revoke", 4, 0), peeked(7)]),
        ("accepted after its end", [*ENDS, peeked(14)]),
        ("accepted after its deadline", [*ENDS, peeked(12.2)]),
        ("accepted after its deadline", [*without(LIVES, USED, ALIVE), live("use", 11.2), replace(
            ALIVE, deadline_ms=at(40), end_ms=at(40))]),
        ("accepted after its deadline", [*without(ORDER, REVOKED), asked("rotate", 4, 201, overlap_ms=200),
                                         peeked(4.4)]),
        ("an acknowledged token was lost", without(LIVES, ALIVE, *told("issued"))),
        ("an acknowledged renewal was lost", [*without(LIVES, ALIVE), replace(ALIVE, deadline_ms=at(1.05) + LIFE_MS)]),
        ("an acknowledged use was lost", [*without(LIVES, ALIVE), replace(ALIVE, uses=0)]),
        ("a token without a life was never marked", [*without(LIVES, ALIVE), replace(ALIVE, end_ms=None)]),
        ("final, and active in the end", [*LIVES, REVOKED]),
        ("revoked by nobody", without(ORDER, REVOKED)),
        ("a token that was issued is unknown", [*LIVES, refused("use", 5, "unknown")]),
        ("refused as expired before its deadline", [*LIVES, refused("use", 5, "expired")]),
        ("refused as revoked, though nobody revoked it", [*LIVES, refused("use", 5, "revoked")]),
        ("refused as consumed, though it had uses left", [*LIVES, refused("use", 5, "consumed")]),
        ("used more often than it may be", [*without(LIVES, ISSUED), replace(ISSUED, most=1), live("use", 3)]),
        ("events about a token that is not there", [*LIVES, *told("issued", id_="nobody")]),
        ("not told once, and first, that it was issued", [*LIVES, *told("issued")]),
        ("not told once, and first, that it was issued", without(ENDS, *told("issued"))),
        ("not exactly one event of its end", [*ORDER, *told("revoked")]),
        ("not exactly one event of its end", [*ORDER, *told("expired")]),
        ("not exactly one event of its end", without(ORDER, *told("revoked"))),
        ("not exactly one event of its end", [*LIVES, *told("expired")]),
        ("not exactly one event of its end", [*ORDER, *told("renewed")]),
        ("an acknowledged transition without an event", [*LIVES, live("renew", 2.01)]),
        ("evicted", [*without(ENDS, EXPIRED), replace(EXPIRED, ended_by="evicted")]),
        ("tokens that nobody asked for", [*LIVES, replace(ALIVE, id="x"), *told("issued", id_="x")]),
        ("tokens that nobody asked for", [*AGAIN, replace(ALIVE, id="x"), *told("issued", id_="x")]),
        ("answered too late", [*LIVES, live("peek", 2, waited=2.1)]),
        ("another's answer", [*LIVES, live("use", 3, told="x", told_owner="ann")]),
        ("another's answer", [*LIVES, live("peek", 3, told="t", told_owner="bob")]),
        ("another's answer", [*LIVES, replace(refused("use", 3, "unknown"), told="x")]),
        ("not answered", [*LIVES, asked("use", 3, 0)]),
        ("failed, but not as unavailable", [*LIVES, asked("use", 3, 500, code="internal")]),
        ("refused for no reason", [*LIVES, asked("use", 3, 401, code="caller unknown")]),
        ("the store is not in order", [*LIVES, Disorder(text="the counts say otherwise")]),
    ],
)  # fmt: skip
def test_each_violation_is_found(rule: str, lines: list[AnyLine]) -> None:
    assert rule in found(lines)


@pytest.mark.parametrize(
    "lines",
    [
        [*LIVES, asked("use", 3, 503)],  # nothing came of it
        [*without(LIVES, ALIVE), asked("use", 3, 503), replace(ALIVE, deadline_ms=at(13), end_ms=at(13), uses=2)],
        [*ORDER, asked("issue", 5, 503, subject=""), replace(KEPT, id="x", state="active", end_ms=at(9)),
         *told("issued", id_="x")],
        [*without(ORDER, REVOKED), asked("revoke", 4, 503), refused("peek", 6, "revoked")],  # it took effect
        [*without(ORDER, REVOKED), asked("revoke", 2, 503), peeked(3), refused("peek", 6, "revoked")],  # late
    ],
)  # fmt: skip
def test_a_request_that_failed_may_have_taken_effect_or_not(lines: list[AnyLine]) -> None:
    assert found(lines) == set()


def test_what_the_store_could_not_write_down_may_be_undone() -> None:
    undone = Rules(undone=((3.5, 4.5),))
    lines = [*LIVES, REVOKED, peeked(6)]

    assert found(lines, undone) == set()
    assert found(lines) != set()


def test_a_clock_that_was_set_back_gives_a_token_more_time() -> None:
    """An hour back at our second 12: by the store's clock its deadline is an hour away again."""
    back = [*clock(12), *clock(100, OFFSET_MS - 3_600_000)[12:]]
    late = peeked(13)

    assert found([*back, *without(LIVES, *clock()), late]) == set()
    assert found([*LIVES, late]) == {"accepted after its deadline"}


def test_the_bounds_of_the_clock_allow_for_a_step_while_a_request_is_under_way() -> None:
    stepping = Clock([*clock(10), *clock(20, OFFSET_MS + 60_000)[10:]])

    earliest, latest = stepping.bounds(9.5, 9.6)

    assert earliest == pytest.approx(at(9.5), abs=2)
    assert latest == pytest.approx(at(9.6) + 60_000, abs=2)


def test_a_clock_that_was_set_back_is_known_to_have_shown_what_it_showed() -> None:
    steady = Clock(clock(20))
    back = Clock([*clock(10), *clock(20, OFFSET_MS - 60_000)[10:]])

    assert not steady.set_back
    assert steady.latest(15, 15.1) == pytest.approx(at(15.1), abs=2)
    assert back.set_back
    assert back.latest(15, 15.1) == pytest.approx(at(10), abs=2)


def test_where_the_clock_was_set_back_a_renewal_may_shorten_a_life_and_still_none_is_lost() -> None:
    back = [*clock(4), *clock(100, OFFSET_MS - 60_000)[4:]]
    shorter = asked("use", 5, state="active", deadline_ms=at(5.05) - 60_000 + LIFE_MS)
    kept = replace(ALIVE, deadline_ms=shorter.deadline_ms, end_ms=shorter.deadline_ms, uses=2)
    lost = replace(kept, deadline_ms=at(-59), end_ms=at(-59))
    others: list[AnyLine] = [*back, ISSUED, USED, shorter, *told("issued")]

    assert found([*others, kept]) == set()
    assert found([*others, lost]) == {"an acknowledged renewal was lost"}


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = History(tmp_path / "history.jsonl")
    written.add(*ORDER, *ENDS, Disorder(text="x"))
    written.close()

    read = History.read(tmp_path / "history.jsonl")

    assert read.operations == written.operations
    assert (read.samples, read.kept, read.told, read.disorders) == (
        written.samples, written.kept, written.told, written.disorders,
    )  # fmt: skip
