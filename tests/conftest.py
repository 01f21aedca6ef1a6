"""`backend`: each store that can run here, empty.  `world`: the core on it, as the service wires it.

A run without a real server fails; no test is skipped.  After each test the store must be in order (`leaks.py`).
"""

import os
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from service.store import feed
from tests import backends, leaks
from tests.backends import Backend, Farm
from tests.world import World


@pytest.fixture(scope="session")
def farm() -> Iterator[Farm]:
    """The real servers of this run; each starts when it is first asked for, and all end with it."""
    yield from backends.farm()


@pytest.fixture(params=backends.ALL)
def backend(request: pytest.FixtureRequest, farm: Farm) -> Iterator[Backend]:
    """`@pytest.mark.parametrize("backend", backends.REAL, indirect=True)` leaves fakeredis out."""
    chosen = farm.backend(request.param)
    yield chosen
    with chosen.plain() as store:
        if chosen.checked:
            leaks.check(store)


@pytest.fixture
def seed() -> int:
    """Of what a test makes up; shown when it fails, and `SEED=...` repeats it."""
    chosen = int(os.environ.get("SEED") or secrets.randbits(32))
    print(f"SEED={chosen}")  # noqa: T201
    return chosen


@pytest.fixture
async def world(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(feed, "BLOCK_MS", 50)  # what the end of a test waits for
    async with World(backend) as made:
        yield made
