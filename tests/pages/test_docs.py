"""The reference shows every call that the description has."""

from tests.api.calls import Caller
from tests.pages.browser import Page


async def test_every_call_is_there_and_opens_by_keyboard(page: Page, admin: Caller) -> None:
    paths = (await admin.ok("GET", "/openapi.json"))["paths"]
    await page.open("/docs")
    await page.until("document.querySelectorAll('details').length > 0")

    shown = await page.run("[...document.querySelectorAll('summary > code')].map(code => code.textContent)")

    assert sorted(shown) == sorted(path for path, verbs in paths.items() for _ in verbs)
    await page.tab_to("it.localName === 'summary'")
    await page.press("Enter")
    assert await page.run("document.activeElement.parentElement.open")


async def test_a_word_finds_the_calls_that_have_it(page: Page) -> None:
    await page.open("/docs")
    await page.until("document.querySelectorAll('details').length > 0")
    await page.tab_to("it.id === 'find'")

    await page.type("/v1/self")

    assert await page.text("#found") == "3 calls"
    assert await page.run("[...document.querySelectorAll('details')].filter(one => one.checkVisibility()).length") == 3
