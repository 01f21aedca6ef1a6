"""`service`: the real one, and `log`: what it wrote to its standard error."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.api.calls import ADMIN, KEYS, Caller, calling
from tests.logs.reading import Log
from tests.servers import Server, Service
from tests.stores import store

__all__ = ["store"]


@pytest.fixture(scope="session")
def service(store: Server) -> Iterator[Service]:
    with Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, heartbeat_ms=500) as running:
        yield running


@pytest.fixture
def log(service: Service) -> Log:
    return Log(service)


@pytest.fixture
async def admin(service: Service) -> AsyncIterator[Caller]:
    async with calling(service.url) as caller:
        yield caller
