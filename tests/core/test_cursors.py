"""Cursors of lists: opaque, signed, and of use for the list only that they were made for."""

import msgspec
import pytest
from itsdangerous import URLSafeSerializer

from service.core.cursor import Cursors, Place
from service.core.errors import BadInput
from service.core.store import Filter
from tests.world import World

WHICH = Filter(tenant="shop", owner="ann", type="session", states=("active",))
PLACE = Place(3_612_672_000_000_000 * 256 + 7)


@pytest.fixture
def cursors() -> Cursors:
    return Cursors(("a new signing key", "an old signing key"))


@pytest.mark.parametrize("place", [PLACE, Place(0), Place(2**61, back=True)])
def test_a_cursor_says_where_to_go_on(cursors: Cursors, place: Place) -> None:
    cursor = cursors.make(place, WHICH, descending=True)

    assert cursors.read(cursor, WHICH, descending=True) == place


@pytest.mark.parametrize(
    "change",
    [{"tenant": "bank"}, {"owner": "bob"}, {"owner": None}, {"type": None}, {"states": ()}, {"created_from_ms": 1}],
)
def test_a_cursor_of_another_list_is_refused(cursors: Cursors, change: dict[str, object]) -> None:
    """Above all one of another tenant, whose list it would begin in the middle."""
    cursor = cursors.make(PLACE, WHICH, descending=False)

    with pytest.raises(BadInput, match="belongs to another list"):
        cursors.read(cursor, msgspec.structs.replace(WHICH, **change), descending=False)


def test_a_cursor_of_the_other_order_is_refused(cursors: Cursors) -> None:
    cursor = cursors.make(PLACE, WHICH, descending=False)

    with pytest.raises(BadInput, match="belongs to another list"):
        cursors.read(cursor, WHICH, descending=True)


def test_a_cursor_with_any_character_changed_is_refused(cursors: Cursors) -> None:
    cursor = cursors.make(PLACE, WHICH, descending=False)

    for place, character in enumerate(cursor):
        other = "A" if character != "A" else "B"
        # The last character of a signature holds two bits that nobody reads.
        if place < len(cursor) - 1:
            with pytest.raises(BadInput, match="cursor"):
                cursors.read(cursor[:place] + other + cursor[place + 1 :], WHICH, descending=False)


@pytest.mark.parametrize("cursor", ["", "x", ".", "W10", "é", "\ud800", "a" * 10_000])
def test_nonsense_is_refused(cursors: Cursors, cursor: str) -> None:
    with pytest.raises(BadInput, match="cursor"):
        cursors.read(cursor, WHICH, descending=False)


def test_what_another_service_or_another_purpose_signed_is_refused(cursors: Cursors) -> None:
    strangers = Cursors(("somebody else's key",)).make(PLACE, WHICH, descending=False)
    unrelated = str(URLSafeSerializer("a new signing key", salt="other").dumps(["x", 1, False]))

    for cursor in (strangers, unrelated):
        with pytest.raises(BadInput, match="not a cursor of this service"):
            cursors.read(cursor, WHICH, descending=False)


def test_cursors_outlive_a_rotation_of_keys(cursors: Cursors) -> None:
    old = Cursors(("an old signing key",)).make(PLACE, WHICH, descending=False)

    assert cursors.read(old, WHICH, descending=False) == PLACE


async def test_a_list_refuses_a_cursor_that_was_made_for_another_tenant(world: World) -> None:
    for tenant in ("shop", "bank"):
        for _ in range(3):
            await world.issue("ann", tenant=tenant)
    page = await world.lists.page(Filter(tenant="shop"), limit=1, cursor=None, descending=False)

    with pytest.raises(BadInput, match="another list"):
        await world.lists.page(Filter(tenant="bank"), limit=1, cursor=page.next, descending=False)
