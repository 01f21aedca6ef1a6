"""Who hears what from the ring, and who is left in peace."""

from typing import Any

import pytest

from service.core.events import START, Event, Places, Wanted
from service.store import news
from service.store.news import Ear, Ears, Heard, Ring
from tests.world import World

EVERYTHING = Wanted()


def event(token: Any, position: int, partition: int = 0, kind: str = "issued") -> Event:
    return Event(partition=partition, position=(position, 0), kind=kind, token=token)


@pytest.fixture
async def ann(world: World) -> Any:
    return (await world.issue("ann")).token


@pytest.fixture
async def ben(world: World) -> Any:
    return (await world.issue("ben")).token


@pytest.fixture
def ring() -> Ring:
    return Ring(Places((START,) * 2))


@pytest.fixture
def ears() -> Ears:
    return Ears()


def listening(ears: Ears, ring: Ring, wanted: Wanted = EVERYTHING, after: Places | None = None) -> Ear:
    ear = Ear(wanted, after or ring.end)
    ears.add(ear)
    ear.look(ring)
    return ear


def positions(heard: list[Heard] | None) -> list[tuple[int, int]]:
    assert heard is not None
    return [(one.partition, one.position[0]) for one, _ in heard]


@pytest.mark.parametrize(
    "wanted",
    [EVERYTHING, Wanted(owner="ann"), Wanted(tenant="default", kind="issued"),
     Wanted(tenant="default", owner="ann", kind="issued")],
)  # fmt: skip
async def test_each_wish_that_covers_an_event_is_found(ears: Ears, ring: Ring, ann: Any, wanted: Wanted) -> None:
    ear = listening(ears, ring, wanted)

    await ears.tell(ring, [event(ann, 1)])

    assert wanted.covers(event(ann, 1))
    assert positions(ear.look(ring)) == [(0, 1)]


async def test_an_event_wakes_only_those_who_want_it(
    ears: Ears, ring: Ring, ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[Ear] = []
    mine = listening(ears, ring, Wanted(owner="ann"))
    others = [listening(ears, ring, Wanted(owner=f"nobody-{number}")) for number in range(1_000)]
    others.append(listening(ears, ring, Wanted(kind="revoked")))
    monkeypatch.setattr(Ear, "wake", lambda self: woken.append(self))  # noqa: PLW0108 - of a bound method it would be another self

    await ears.tell(ring, [event(ann, 1), event(ann, 2)])

    assert woken == [mine]
    assert len(others) == 1_001


async def test_one_that_was_left_in_peace_begins_where_something_is_for_it(
    ears: Ears, ring: Ring, ann: Any, ben: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much went by: what left the ring meanwhile was not for it."""
    monkeypatch.setattr(news, "KEPT", 4)
    ear = listening(ears, ring, Wanted(owner="ben"))

    for number in range(1, 40):
        await ears.tell(ring, [event(ann, number)])
    await ears.tell(ring, [event(ben, 40)])

    [(heard, behind)] = ear.look(ring) or []
    assert heard.position == (40, 0)
    assert behind.each == ((40, 0), START)


async def test_one_that_was_too_slow_is_sent_to_the_store_from_where_it_was(
    ears: Ears, ring: Ring, ann: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "KEPT", 4)
    ear = listening(ears, ring)

    await ears.tell(ring, [event(ann, 1)])
    assert positions(ear.look(ring)) == [(0, 1)]
    for number in range(2, 40):
        await ears.tell(ring, [event(ann, number)])

    assert ear.look(ring) is None
    assert ear.after.each == ((1, 0), START)


async def test_a_long_story_comes_in_parts(ears: Ears, ring: Ring, ann: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "CHUNK", 3)
    late, early = Ear(EVERYTHING, ring.end), listening(ears, ring)
    await ears.tell(ring, [event(ann, number) for number in range(1, 9)])

    parts = [[positions(ear.look(ring)) for _ in range(4)] for ear in (early, late)]

    assert parts == [[[(0, 1), (0, 2), (0, 3)], [(0, 4), (0, 5), (0, 6)], [(0, 7), (0, 8)], []]] * 2


async def test_what_the_store_told_first_is_not_told_again(ears: Ears, ring: Ring, ann: Any) -> None:
    """A reader may come with a place that the one who reads for all has not reached yet."""
    ahead = Places(((5, 0), START))
    ear = listening(ears, ring, after=ahead)

    await ears.tell(ring, [event(ann, 3, 1), event(ann, 4), event(ann, 5), event(ann, 6)])
    heard = ear.look(ring)

    assert positions(heard) == [(1, 3), (0, 6)]
    assert heard is not None
    assert [behind.each for _, behind in heard] == [((5, 0), (3, 0)), ((6, 0), (3, 0))]


async def test_nobody_is_kept_who_left(ears: Ears, ring: Ring) -> None:
    ear = listening(ears, ring)
    assert ears

    ears.remove(ear)

    assert not ears
