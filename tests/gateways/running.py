"""The service as a process, and beside it the core on the same store: what one issues the other knows."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from tests.backends import Real
from tests.servers import Server, Service
from tests.world import ADMIN, SIGNING_KEYS, World


def service_on(store: Server, **settings: Any) -> Service:
    """Waits for its store as long as one in production: the gateways' own timeouts are made for that."""
    return Service(redis_url=store.url, signing_keys=",".join(SIGNING_KEYS), admin_token=ADMIN, **settings)


@contextlib.contextmanager
def outage(store: Server) -> Iterator[None]:
    """The store hangs."""
    store.pause()
    try:
        yield
    finally:
        store.resume()


@pytest.fixture(scope="session")
def service(store: Server) -> Iterator[Service]:
    with service_on(store) as running:
        yield running


@pytest.fixture(scope="session")
def backend(store: Server) -> Real:
    return Real("real", store)


@pytest.fixture
async def world(backend: Real, service: Service) -> AsyncIterator[World]:
    del service  # it must be there
    async with World(backend) as made:
        yield made


@pytest.fixture
async def http(service: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(service.url) as session:
        yield session
