"""A service with a store apart, so that either can be stopped, and what speaks to it."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from service.client import Client
from tests.cli.line import Line
from tests.servers import ROOT, Server, Service

ADMIN = "tl_admin_of-the-tests-of-cli-and-sdk"
ANSWER_S = 60.0  # a verb takes a third of a second, on a busy machine longer

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def on(store: Server, **settings: object) -> Service:
    given = {"signing_keys": "a signing key of the tests", "admin_token": ADMIN, "partitions": 2}
    return Service(redis_url=store.url, **given, **settings)


@pytest.fixture(scope="session")
def store() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def service(store: Server) -> Iterator[Service]:
    with on(store) as running:
        yield running


@pytest.fixture(scope="session")
def hasty(store: Server) -> Iterator[Service]:
    """Another one on the same store, which gives up on it after 200 ms.  A busy machine takes longer at times: it is
    for outages only."""
    with on(store, store_timeout_ms=200) as running:
        yield running


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with Client(service.url, ADMIN, timeout_s=10.0) as it:
        yield it


@pytest.fixture
async def line(service: Service) -> AsyncIterator[Line]:
    async with Line(service.port) as it:
        yield it


@pytest.fixture(scope="session")
def environment(service: Service) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("TOKENLIFE_")}
    return others | {"TOKENLIFE_URL": service.url, "TOKENLIFE_TOKEN": ADMIN}


@pytest.fixture
def tokenlife(environment: dict[str, str]) -> Run:
    """`tokenlife("peek", text, given="what stands on stdin", TOKENLIFE_TOKEN="...")`."""

    def run(*words: str, given: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "service", *words],
            cwd=ROOT, env=environment | settings, input=given, capture_output=True, text=True, timeout=ANSWER_S,
            check=False,
        )  # fmt: skip

    return run
