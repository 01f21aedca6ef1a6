"""`admin` and `shop`: two callers of the service, as a process of its own on a real store.

Both live for the whole run, so no test may count on being alone: what it looks for has a tenant or an owner of its
own (`shop` is of a fresh tenant in every test).
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.api.calls import ADMIN, GRANTS, KEYS, Caller, calling
from tests.servers import Server, Service
from tests.stores import store

__all__ = ["store"]


@pytest.fixture(scope="session")
def service(store: Server) -> Iterator[Service]:
    """heartbeat and body times are short, so that no test has to wait for the usual ones."""
    with Service(
        redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, heartbeat_ms=500, body_ms=500, log_level="DEBUG"
    ) as running:
        yield running


@pytest.fixture
async def admin(service: Service) -> AsyncIterator[Caller]:
    async with calling(service.url) as caller:
        yield caller


@pytest.fixture
async def shop(admin: Caller) -> Caller:
    """A caller of a fresh tenant with every grant but `admin`."""
    return await admin.caller(*GRANTS)
