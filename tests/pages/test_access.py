"""What the pages are to a screen reader, to weak eyes and on a phone."""

from pathlib import Path

import pytest

from tests.api.calls import Caller
from tests.pages.browser import Page
from tests.pages.test_console import connect

PICTURE = Path(__file__).parent / "console.png"
BYTES = 120_000

# WCAG 2.2, 1.4.3: the worst contrast of any text that is shown, against the nearest ground that is painted.
CONTRAST = """(() => {
  const parts = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const [r, g, b, a = 1] = parts(getComputedStyle(node).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let worst = [99, ""];
  while (walker.nextNode()) {
    const text = walker.currentNode, node = text.parentElement;
    if (!text.data.trim() || !node.checkVisibility() || node.closest(":disabled, script, style")) continue;
    const [a, b] = [light(parts(getComputedStyle(node).color).slice(0, 3)), light(ground(node))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < worst[0]) worst = [ratio, text.data.trim()];
  }
  return worst;
})()"""


async def with_tokens(page: Page, shop: Caller) -> None:
    """Some of them near their ceilings, so that their bars are short."""
    for owner, life_ms, left_ms in [
        ("carol", 50, 50), ("дарья", 3_600_000, 2_500_000), ("bob", 1_800_000, 300_000), ("ann", 45_000, 45_000)
    ]:  # fmt: skip
        await shop.issue(owner, life_ms=life_ms, ceiling_ms=left_ms)
    await connect(page, shop)
    eve = await shop.issue("eve", life_ms=86_400_000)
    await shop.post("/v1/tokens/revoke", {"token": eve["token"]})
    await page.until("document.querySelectorAll('#feed li').length >= 2")
    await page.until("document.getElementById('count-revoked').textContent === '1'")


async def test_everything_that_can_be_pressed_or_filled_in_has_a_name_of_its_own(page: Page, shop: Caller) -> None:
    await with_tokens(page, shop)

    tree = await page.tree()

    asked = [one for one in tree if one[0] in {"button", "textbox", "combobox", "checkbox", "link", "meter"}]
    assert [one for one in asked if not one[1]] == []
    revokes = [name for role, name in asked if role == "button" and name.startswith("Revoke ")]
    assert len(revokes) == len(set(revokes)) >= 4
    assert ("textbox", "Caller token") in asked


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
async def test_it_has_landmarks_headings_a_table_and_a_log(page: Page, shop: Caller, width: int, height: int) -> None:
    await page.look("light", width, height)
    await with_tokens(page, shop)

    tree = await page.tree()

    roles = [role for role, _ in tree]
    assert {"banner", "main", "table", "columnheader", "row", "cell", "log", "status"} <= set(roles)
    assert [name for role, name in tree if role == "heading"] == [
        "tokenlife console", "Tokens by state", "Tokens", "Events"
    ]  # fmt: skip
    assert [name for role, name in tree if role == "region"] == ["Tokens by state", "Tokens", "Events"]


async def test_the_keys_lead_through_the_page_in_the_order_in_which_it_is_read(page: Page, shop: Caller) -> None:
    await with_tokens(page, shop)
    await page.run("document.querySelector('header a').focus()")
    met: list[str] = ["a"]

    for _ in range(40):
        await page.press("Tab")
        met.append(await page.run("document.activeElement.id || document.activeElement.localName"))
        if met[-1] == "feed-box":
            break

    first = ["a", "caller", "tenant", "button", "owner", "type", "state", "button"]
    assert met[: len(first)] == first
    assert met[-2:] == ["aloud", "feed-box"]


async def test_what_stays_true_is_said_once(page: Page, shop: Caller) -> None:
    await connect(page, shop)
    await page.run("""window.heard = 0; new MutationObserver(() => window.heard++).observe(
      document.getElementById('told'), { childList: true, characterData: true, subtree: true })""")
    looked = await page.text("#looked")

    await page.until(f"document.getElementById('looked').textContent !== {looked!r}")

    assert await page.run("window.heard") == 0
    assert await page.run("document.getElementById('feed-box').ariaLive") == "off"
    await page.tab_to("it.id === 'aloud'")
    await page.press("Space")
    assert await page.run("document.getElementById('feed-box').ariaLive") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
async def test_text_stands_out_and_nothing_is_cut_off(
    page: Page, shop: Caller, scheme: str, width: int, height: int, tmp_path: Path
) -> None:
    await page.look(scheme, width, height)
    for path in ("/docs", "/console"):
        if path == "/console":
            await with_tokens(page, shop)
        else:
            await page.open(path)
            await page.until("document.querySelectorAll('details').length > 20")
            await page.run("document.querySelectorAll('details').forEach(one => one.open = true)")
        await page.run("document.getAnimations().forEach(one => one.finish())")

        assert await page.run("document.documentElement.scrollWidth") <= width
        ratio, text = await page.run(CONTRAST)
        assert ratio >= 4.5, (path, text)
        (tmp_path / f"{path[1:]}-{scheme}-{width}.png").write_bytes(await page.picture())


async def test_the_picture_of_the_console_is_there_and_small(page: Page, shop: Caller) -> None:
    """`make test-pages` takes it anew where it is missing."""
    await with_tokens(page, shop)
    await page.run("document.getAnimations().forEach(one => one.finish())")

    if not PICTURE.exists():
        PICTURE.write_bytes(await page.picture())

    assert PICTURE.read_bytes().startswith(b"\x89PNG")
    assert PICTURE.stat().st_size <= BYTES
