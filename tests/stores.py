"""A store for all tests of a folder.  Each conftest that imports the fixture gets one of its own."""

from collections.abc import Iterator

import pytest
import redis

from tests import leaks
from tests.servers import Server


@pytest.fixture(scope="session")
def store() -> Iterator[Server]:
    """In order when the tests are over."""
    with Server() as running:
        yield running
        with redis.Redis.from_url(running.url) as connection:
            leaks.check(connection)
