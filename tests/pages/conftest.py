"""`page`: a tab of a real browser in front of the real service; `shop`: a caller of a fresh tenant, by the API."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.api.calls import ADMIN, KEYS, Caller, calling
from tests.pages.browser import Chromium, Page
from tests.servers import Server, Service


@pytest.fixture(scope="session")
def store() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="session")
def service(store: Server) -> Iterator[Service]:
    with Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    with Chromium() as running:
        yield running


@pytest.fixture
async def page(chromium: Chromium, service: Service) -> AsyncIterator[Page]:
    """After each test: nothing was kept, no other host was asked, and nothing was complained of but refused answers."""
    async with aiohttp.ClientSession() as http, Page(http, chromium.port, service.url) as made:
        yield made
        assert await made.run("localStorage.length + sessionStorage.length") == 0
        assert await made.run("document.cookie + location.search + location.hash") == ""
        assert [url for url in made.asked if not url.startswith((service.url + "/", "about:"))] == []
        assert [line for line in made.said if "the server responded with a status of" not in line] == []


@pytest.fixture
async def admin(service: Service) -> AsyncIterator[Caller]:
    async with calling(service.url) as caller:
        yield caller


@pytest.fixture
async def shop(admin: Caller) -> Caller:
    return await admin.caller("tokens:issue", "tokens:use", "tokens:read", "tokens:revoke", "events:read")
