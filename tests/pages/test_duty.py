"""What people on duty meet: an outage, more tokens than a page holds, more of an owner than one call ends."""

import asyncio

from tests.api.calls import Caller
from tests.pages.browser import Page
from tests.pages.test_console import FOCUS, ROWS, ask_to_revoke_all, connect
from tests.servers import Server

SHOWN = f"{ROWS}.map(row => row.querySelector('td').firstChild.firstChild.data)"


async def many(shop: Caller, owner: str, number: int) -> None:
    """Fifty at once: more would only wait for each other."""
    for first in range(0, number, 50):
        await asyncio.gather(*[shop.issue(owner) for _ in range(min(50, number - first))])


async def test_an_outage_is_told_keeps_what_was_seen_and_ends_by_itself(
    page: Page, shop: Caller, store: Server
) -> None:
    await shop.issue("ann", life_ms=600_000)
    await connect(page, shop)

    store.pause()
    try:
        await page.until("document.getElementById('told').classList.contains('bad')")
        told, rows = await page.text("#told"), await page.run(f"{ROWS}.length")
        inside = await page.run("!document.getElementById('inside').hidden")
    finally:
        store.resume()

    await page.until("document.getElementById('told').textContent === 'Connected.'")
    assert "cannot answer right now" in told
    assert (rows, inside) == (2, True)
    await page.until("document.getElementById('feed-state').textContent === 'live'")
    await shop.issue("bob")
    await page.until("document.getElementById('feed').textContent.includes('bob')")
    await page.until(f"{ROWS}.length === 3")


async def test_older_and_newer_pages_are_reached_by_keyboard(page: Page, shop: Caller) -> None:
    for number in range(30):
        await shop.issue(f"owner-{number:02}")
    await connect(page, shop)
    first = await page.run(SHOWN)

    await page.tab_to("it.id === 'next'")
    await page.press("Enter")
    await page.until(f"{ROWS}.length === 6")
    second = await page.run(SHOWN)
    await page.run("document.getElementById('list-title').focus()")
    await page.tab_to("it.id === 'previous'")
    await page.press("Enter")

    await page.until(f"{ROWS}.length === 25")
    assert first == [f"owner-{number:02}" for number in range(29, 4, -1)]
    assert second[:5] == [f"owner-{number:02}" for number in range(4, -1, -1)]
    assert await page.run(SHOWN) == first
    assert await page.run("document.getElementById('previous').disabled")


async def test_the_state_that_is_asked_for_is_shown_and_no_other(page: Page, shop: Caller) -> None:
    ended = await shop.issue("ann")
    await shop.issue("bob")
    await shop.post("/v1/tokens/revoke", {"token": ended["token"]})
    await connect(page, shop)

    await page.tab_to("it.id === 'state'")
    await page.press("ArrowDown", "ArrowDown", "ArrowDown")
    assert await page.run(f"{FOCUS}.value") == "revoked"
    await page.tab_to("it.textContent === 'Filter'")
    await page.press("Enter")

    await page.until(f"JSON.stringify({SHOWN}) === '[\"ann\"]'")
    line = await page.run(f"{ROWS}[0].innerText")
    assert "revoked" in line
    assert "request" in line
    assert await page.run(f"{ROWS}[0].querySelector('button').disabled")


async def test_more_of_an_owner_than_one_call_ends_are_revoked_all(page: Page, shop: Caller) -> None:
    await many(shop, "ann", 520)
    await connect(page, shop)

    await ask_to_revoke_all(page, "ann")
    question = await page.text("#sure-text")
    await page.tab_to("it.textContent === 'Revoke'")
    await page.press("Enter")

    await page.until("document.getElementById('count-revoked').textContent === '520'")
    assert "more than 500 live tokens" in question
    assert (await shop.ok("GET", "/v1/tokens/count", owner="ann"))["by_state"] == {"revoked": 520}


async def test_an_operator_sees_the_tenant_that_it_names(page: Page, shop: Caller, admin: Caller) -> None:
    await shop.issue("ann")
    await page.open("/console")
    await page.tab_to("it.id === 'caller'")
    await page.type(str(admin.text))
    await page.tab_to("it.id === 'tenant'")
    await page.type(shop.tenant)

    await page.press("Enter")

    await page.until(f'JSON.stringify({SHOWN}) === \'["ann","caller"]\'')
    assert await page.run(f"{FOCUS}.id") == "tenant"
