"""The lifecycle is the same on every store that the service runs on."""

from collections.abc import Iterator

import pytest

from tests import backends, leaks
from tests.backends import Backend, Farm


@pytest.fixture(params=(*backends.ALL, *backends.MANY))
def backend(request: pytest.FixtureRequest, farm: Farm) -> Iterator[Backend]:
    chosen = farm.backend(request.param)
    yield chosen
    with chosen.plain() as store:
        if chosen.checked:
            leaks.check(store)
