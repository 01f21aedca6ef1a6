"""A service that has done a bit of everything, and what it tells Prometheus after that."""

from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.asked import Sample
from tests.deploy.worked import on, scrape, work
from tests.servers import Server, Service


@pytest.fixture(scope="session")
def store() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="session")
def service(store: Server) -> Iterator[Service]:
    with on(store) as running:
        work(running, store)
        yield running


@pytest.fixture(scope="session")
def families(service: Service) -> list[Metric]:
    return list(text_string_to_metric_families(scrape(service)))


@pytest.fixture(scope="session")
def samples(families: list[Metric]) -> list[Sample]:
    return [Sample(one.name, one.labels) for family in families for one in family.samples]
