"""The console, by keyboard alone."""

from tests.api.calls import NOBODY, Caller
from tests.pages.browser import Page
from tests.servers import wait_until

ROWS = "[...document.querySelectorAll('#list tr[data-id]')]"
FOCUS = "document.activeElement"


def row(token: dict[str, str]) -> str:
    return f"document.querySelector('#list tr[data-id=\"{token['id']}\"]')"


async def connect(page: Page, caller: Caller) -> None:
    """As somebody does who has just opened the page."""
    await page.open("/console")
    await page.tab_to("it.id === 'caller'")
    await page.type(str(caller.text))
    await page.press("Enter")
    await page.until("!document.getElementById('inside').hidden")
    await page.until("document.getElementById('feed-state').textContent === 'live'")


async def choose(page: Page, owner: str) -> None:
    await page.run("document.getElementById('caller').focus()")
    await page.tab_to("it.id === 'owner'")
    await page.type(owner)
    await page.press("Enter")
    await page.until(f"{ROWS}.every(row => row.innerText.includes({owner!r}))")


async def ask_to_revoke_all(page: Page, owner: str) -> None:
    """As far as the question whether it is meant."""
    await choose(page, owner)
    await page.until("!document.getElementById('revoke-owner').disabled")
    await page.tab_to("it.id === 'revoke-owner'")
    await page.press("Enter")
    await page.until("document.getElementById('sure').open")


async def test_a_pasted_token_shows_counts_and_tokens(page: Page, shop: Caller) -> None:
    ann, bob = await shop.issue("ann"), await shop.issue("bob")
    await shop.post("/v1/tokens/revoke", {"token": bob["token"]})

    await connect(page, shop)

    assert await page.text("#told") == "Connected."
    assert await page.text("#count-active") == "2"  # with the caller's own
    assert await page.text("#count-revoked") == "1"
    assert await page.run(f"{ROWS}.map(row => row.dataset.id)") == [ann["id"], shop.id]


async def test_a_wrong_token_is_told_and_shows_nothing(page: Page) -> None:
    await page.open("/console")
    await page.tab_to("it.id === 'caller'")

    await page.type(NOBODY)
    await page.press("Enter")

    await page.until("document.getElementById('told').classList.contains('bad')")
    assert "The token is not known here." in await page.text("#told")
    assert await page.run("document.getElementById('inside').hidden")
    asked = len(page.asked)
    await page.until("new Promise(done => setTimeout(() => done(true), 2500))")  # longer than from look to look
    assert len(page.asked) == asked


async def test_a_caller_that_is_revoked_is_shown_out(page: Page, shop: Caller, admin: Caller) -> None:
    await shop.issue("ann")
    await connect(page, shop)

    await admin.call("DELETE", f"/v1/tokens/{shop.id}")

    await page.until("document.getElementById('inside').hidden")
    assert "revoked" in await page.text("#told")
    assert await page.run(f"{ROWS}.length + document.getElementById('feed').children.length") == 0


async def test_the_filter_narrows_the_list_when_it_is_sent_and_not_before(page: Page, shop: Caller) -> None:
    ann, bob = await shop.issue("ann"), await shop.issue("bob", type="mobile")
    await connect(page, shop)
    assert len(await page.run(f"{ROWS}.map(row => row.dataset.id)")) == 3
    await page.tab_to("it.id === 'owner'")
    await page.type("ann")
    looks = len(page.asked)
    await wait_until(lambda: len(page.asked) > looks, 10)
    assert await page.run(f"{ROWS}.length") == 3
    assert await page.run("document.getElementById('revoke-owner').disabled")

    await page.press("Enter")

    await page.until(f"{ROWS}.length === 1 && !!{row(ann)}")
    await page.run("document.getElementById('owner').value = ''")
    await page.tab_to("it.id === 'type'")
    await page.type("mobile")
    await page.press("Enter")
    await page.until(f"{ROWS}.length === 1 && !!{row(bob)}")


async def test_a_bar_runs_down_and_a_use_refills_it(page: Page, shop: Caller) -> None:
    token = await shop.issue("ann", life_ms=20_000)
    await connect(page, shop)
    bar = f"{row(token)}.querySelector('meter').value"
    await page.run(f"window.before = {row(token)}")
    await page.until(f"{bar} < 0.85")

    await shop.use(token["token"])

    await page.until(f"{bar} > 0.9")
    assert await page.run(f"window.before === {row(token)}")  # the same nodes, under whoever reads them
    await page.until(f"{row(token)}.querySelector('[data-name=Uses]').textContent === '1'")


async def test_events_come_by_themselves_the_newest_first(page: Page, shop: Caller) -> None:
    await connect(page, shop)

    token = await shop.issue("ann", life_ms=60_000)
    await shop.post("/v1/tokens/renew", {"token": token["token"]})
    await shop.post("/v1/tokens/revoke", {"token": token["token"]})

    mine = f"[...document.querySelectorAll('#feed li')].filter(li => li.textContent.includes('{token['id']}'))"
    await page.until(f"{mine}.length === 3")
    kinds = await page.run(f"{mine}.map(li => li.querySelector('strong').textContent)")
    assert kinds == ["revoked", "renewed", "issued"]


async def test_one_is_revoked_after_a_question_that_begins_at_keep(page: Page, shop: Caller) -> None:
    token = await shop.issue("ann")
    await connect(page, shop)
    await page.tab_to(f"it.closest('tr')?.dataset.id === '{token['id']}'")

    await page.press("Enter")
    await page.until("document.getElementById('sure').open")
    assert await page.run(f"{FOCUS}.textContent") == "Keep"
    assert "ann" in await page.text("#sure-text")
    await page.tab_to("it.textContent === 'Revoke'")
    await page.press("Enter")

    await page.until(f"!{row(token)}")
    assert (await shop.look(token["id"]))["state"] == "revoked"
    await page.until(f"{FOCUS}.closest('tr')?.dataset.id === '{shop.id}'")  # the next one, not the top of the page


async def test_escape_keeps_it_also_when_the_last_answer_was_yes(page: Page, shop: Caller) -> None:
    kept, ended = await shop.issue("bob"), await shop.issue("ann")
    await connect(page, shop)
    await page.tab_to(f"it.closest('tr')?.dataset.id === '{ended['id']}'")
    await page.press("Enter", "Tab", "Enter")
    await page.until(f"!{row(ended)} && {FOCUS}.closest('tr')?.dataset.id === '{kept['id']}'")

    await page.press("Enter")
    await page.until("document.getElementById('sure').open")
    await page.press("Escape")

    await page.until("!document.getElementById('sure').open")
    assert await page.run(f"{FOCUS}.closest('tr')?.dataset.id") == kept["id"]
    looks = len(page.asked)
    await wait_until(lambda: len(page.asked) > looks, 10)
    assert (await shop.look(kept["id"]))["state"] == "active"


async def test_all_of_an_owner_are_revoked_after_a_question_with_their_number(page: Page, shop: Caller) -> None:
    anns, bob = [await shop.issue("ann") for _ in range(3)], await shop.issue("bob")
    await connect(page, shop)

    await ask_to_revoke_all(page, "ann")
    assert "3 live tokens" in await page.text("#sure-text")
    await page.press("Tab", "Enter")

    await page.until(f"{ROWS}.length === 0")
    assert [(await shop.look(ann["id"]))["state"] for ann in anns] == ["revoked"] * 3
    assert (await shop.look(bob["id"]))["state"] == "active"


async def test_what_a_name_says_is_text_and_never_runs(page: Page, shop: Caller) -> None:
    owner = "<img src=x onerror=document.title='broken'><script>document.title='broken'</script>"
    await connect(page, shop)

    token = await shop.issue(owner, description=owner)

    await page.until(f"!!{row(token)} && document.querySelectorAll('#feed li').length > 0")
    assert owner in await page.run(f"{row(token)}.textContent")
    assert owner in await page.text("#feed")
    assert await page.run("document.querySelectorAll('main img, main script').length") == 0
    assert await page.run("document.title") == "tokenlife console"


async def test_the_policy_forbids_what_the_page_does_not_need(page: Page) -> None:
    await page.open("/console")

    await page.run("""(() => {
      const made = document.createElement('script');
      made.textContent = 'document.title = 1';
      document.body.append(made);
    })()""")
    far = await page.run("fetch('http://127.0.0.2:1/').then(() => 'went', () => 'stopped')")

    assert far == "stopped"
    assert await page.run("document.title") == "tokenlife console"
    assert len([line for line in page.said if "Content Security Policy" in line]) >= 2
    page.said.clear()
    page.asked[:] = [url for url in page.asked if "127.0.0.2" not in url]
