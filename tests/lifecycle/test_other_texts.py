"""Tokens whose text is not of our form, and tokens that have none."""

import pytest

from service.core.accounts import login_of, whose
from service.core.errors import Malformed
from service.core.store import Filter
from service.core.text import partition_in
from service.core.token import Draft
from tests.world import World


async def test_a_text_of_another_form_opens_as_any_other(world: World) -> None:
    def opener(text: str) -> str:
        if not text.startswith("other:"):
            raise Malformed
        return text.removeprefix("other:")

    world.texts.also(opener)

    issued = await world.tokens.issue_written(Draft(owner="ann", recoverable=True), lambda id_: f"other:{id_}")

    assert issued.text == f"other:{issued.token.id}"
    assert (await world.tokens.use(issued.text)).id == issued.token.id
    assert world.tokens.recover(issued.token) == issued.text
    assert await world.story(issued) == ["issued"]


async def test_a_token_without_a_text_owns_itself_and_what_is_issued_for_it(world: World) -> None:
    enrolled = await world.tokens.enroll(Draft(owner="whoever", type="transaction"))

    owned = await world.issue(enrolled.id)

    assert enrolled.owner == enrolled.id
    assert partition_in(owned.token.id) == partition_in(enrolled.id)
    listed = await world.lists.page(
        Filter(tenant="default", owner=enrolled.id), limit=10, cursor=None, descending=False
    )
    assert [token.id for token in listed.items] == [enrolled.id, owned.token.id]
    assert [event.token.id for event in await world.events(owner=enrolled.id)] == [enrolled.id, owned.token.id]


async def test_a_token_says_when_it_was_seen(world: World) -> None:
    issued = await world.issue("ann", life_ms=60_000)
    before = await world.now()

    seen = await world.tokens.peek(issued.text)

    assert before <= seen.seen_at_ms <= await world.now()
    assert seen.last_used_at_ms == issued.token.created_at_ms


async def test_a_token_without_end_was_seen_at_its_last_use(world: World) -> None:
    issued = await world.issue("ann", life_ms=None)

    assert issued.token.seen_at_ms == issued.token.created_at_ms


@pytest.mark.parametrize(
    ("tenant", "username"),
    [("default", "ann"), ("default", "a~b"), ("default", "~b"), ("shop", "ann"), ("shop", "a~b"), ("shop", "a@b.c")],
)
def test_a_login_says_whose_it_is(tenant: str, username: str) -> None:
    assert whose(login_of(tenant, username)) == (tenant, username)


@pytest.mark.parametrize(
    ("login", "found"),
    [
        ("ann", ("default", "ann")),
        ("shop~ann", ("shop", "ann")),
        ("a:b~c", ("default", "a:b~c")),  # no tenant is called so, and so nobody gets into the keys of another
        ("", ("default", "")),
    ],
)
def test_a_login_is_read_as_it_is_typed(login: str, found: tuple[str, str]) -> None:
    assert whose(login) == found
