"""`gateway`: each of the gateways in turn, in front of one application, asking one service."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.gateways.real.client import Client
from tests.gateways.real.programs import APPLICATION, GRPC, KINDS, TOKENLIFE, Gateway, Upstream
from tests.gateways.real.test_latency import FOUND, REQUESTS
from tests.gateways.running import backend, service_on, world
from tests.servers import Server, Service, free_port
from tests.stores import store

__all__ = ["backend", "store", "world"]


@pytest.fixture(scope="session")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def service(store: Server, grpc_port: int) -> Iterator[Service]:
    with service_on(store, grpc_port=grpc_port) as running:
        yield running


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="session", params=list(KINDS))
def gateway(request: pytest.FixtureRequest, service: Service, grpc_port: int, upstream: Upstream) -> Iterator[Gateway]:
    ports = {TOKENLIFE: service.port, GRPC: grpc_port, APPLICATION: upstream.port}
    with Gateway(request.param, ports) as running:
        yield running


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[Client]:
    """A client of the gateway."""
    async with aiohttp.ClientSession() as session:
        yield Client(session, gateway.port)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FOUND:
        terminalreporter.section(f"what asking adds to a request, of {REQUESTS:,} one after the other")
        terminalreporter.write_line("\n".join(FOUND))
