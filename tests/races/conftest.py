"""Races are run on real servers only, by two processes of the service: what one alone keeps in order is no race."""

import random
from collections.abc import AsyncIterator, Iterator

import pytest

from tests import backends, leaks
from tests.backends import Backend, Farm, Real
from tests.servers import Server, binaries
from tests.world import World


@pytest.fixture(params=backends.REAL)
def backend(request: pytest.FixtureRequest, farm: Farm) -> Iterator[Backend]:
    chosen = farm.backend(request.param)
    yield chosen
    with chosen.plain() as store:
        leaks.check(store)


@pytest.fixture
async def other(world: World) -> AsyncIterator[World]:
    """A second process on the same store."""
    async with World(world.backend) as second:
        yield second


@pytest.fixture
def dice(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture(params=backends.REAL)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of the test's own, to be paused, killed and restarted; it has written what it acknowledged."""
    with Server(binaries()[request.param], appendonly="yes", appendfsync="always") as own:
        yield own


@pytest.fixture
def mine(server: Server) -> Iterator[Backend]:
    chosen = Real("own", server)
    yield chosen
    with chosen.plain() as store:
        leaks.check(store)
