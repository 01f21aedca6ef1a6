"""The alerts and the dashboard, judged by promtool and then by a real Prometheus that scrapes a real service."""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # as in reading.py

from tests.deploy.reading import ALERTS, DEPLOY, alerts, panel_queries, whole
from tests.deploy.tools import TOOLS, tool
from tests.deploy.worked import ADMIN, on, post, scrape, work
from tests.servers import Child, Server, Service, free_port

WAIT_S = 60.0  # for two scrapes and an evaluation, on a busy machine
OWN = DEPLOY / "prometheus" / "prometheus.yaml"


class Prometheus(Child):
    """The one of prometheus.yaml, which looks often and at the service of this test."""

    def __init__(self, target: str) -> None:
        super().__init__([])
        self.port = free_port()
        own = whole(OWN)
        # A scrape may take its interval, and waits for a store that hangs as long as any request: a second.
        own["global"] = {"scrape_interval": "3s", "evaluation_interval": "1s"}
        own["rule_files"] = [str(OWN.parent / name) for name in own["rule_files"]]
        own["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (self.room / "prometheus.yaml").write_text(yaml.safe_dump(own))
        self.command = [
            str(TOOLS / "prometheus"), f"--config.file={self.room}/prometheus.yaml",
            f"--storage.tsdb.path={self.room}/data", f"--web.listen-address=127.0.0.1:{self.port}",
        ]  # fmt: skip

    def ready(self) -> bool:
        try:
            return bool(self.asks("query", query="up")["result"])
        except OSError:
            return False

    def asks(self, what: str, **words: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=10.0) as answer:
            return json.load(answer)["data"]

    def empty(self, queries: dict[str, str]) -> list[str]:
        """Those that get no number for an answer."""
        answers = {where: self.asks("query", query=query)["result"] for where, query in queries.items()}
        return [where for where, found in answers.items() if all(one["value"][1] == "NaN" for one in found)]

    def health(self) -> dict[str, str]:
        """Of each alert rule, whether it can be evaluated."""
        return {rule["name"]: rule["health"] for group in self.asks("rules")["groups"] for rule in group["rules"]}

    def active(self) -> dict[str, Any]:
        """The alerts that are pending or firing, by name."""
        return {one["labels"]["alertname"]: one for one in self.asks("alerts")["alerts"]}


@pytest.fixture(scope="module")
def own_store() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(scope="module")
def own_service(own_store: Server) -> Iterator[Service]:
    with on(own_store) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(own_service: Service) -> Iterator[Prometheus]:
    with Prometheus(f"127.0.0.1:{own_service.ops_port}") as running:
        yield running


def until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def go_on(service: Service) -> bool:
    """A rate is seen of what goes on, and not of what happened once."""
    post(f"{service.url}/v1/tokens", ADMIN, {"owner": "ann", "life_ms": 1})
    return post(f"{service.url}/v1/tokens/use", ADMIN, {"token": "tl_nobody"})[0] == 401


@pytest.mark.parametrize(
    ("judge", "what"),
    [
        ("check rules", ALERTS),
        ("test rules", ALERTS.with_name("alerts.test.yaml")),
        ("check config", OWN),
    ],
)
def test_promtool_has_nothing_against_it(judge: str, what: Path) -> None:
    found = tool("promtool", *judge.split(), what)

    assert "SUCCESS" in found.stdout
    assert found.returncode == 0, found.stdout + found.stderr


def test_promtool_counts_every_rule() -> None:
    found = tool("promtool", "check", "rules", ALERTS)

    assert f"{len(alerts())} rules found" in found.stdout


def test_a_rule_that_is_wrong_does_not_pass(tmp_path: Path) -> None:
    wrong = ALERTS.read_text().replace("> 0.05", "> 0.5")
    (tmp_path / ALERTS.name).write_text(wrong)
    (tmp_path / "alerts.test.yaml").write_text(ALERTS.with_name("alerts.test.yaml").read_text())

    found = tool("promtool", "test", "rules", tmp_path / "alerts.test.yaml")

    assert "TokenlifeServerErrors" in found.stderr + found.stdout
    assert found.returncode != 0


def test_promtool_has_nothing_against_the_metrics_of_the_service(service: Service) -> None:
    text = scrape(service)

    found = tool("promtool", "check", "metrics", given=text)

    assert "tokenlife_verdicts_total" in text
    assert found.stdout + found.stderr == ""
    assert found.returncode == 0


@pytest.mark.timeout(240)
def test_every_panel_and_alert_works_on_what_a_prometheus_scrapes(
    prometheus: Prometheus, own_service: Service, own_store: Server
) -> None:
    """In the order of a bad day: all is well, the store hangs, and then the service is gone."""
    until(lambda: prometheus.health() == dict.fromkeys((rule["alert"] for rule in alerts()), "ok"))
    until(lambda: prometheus.active() == {})  # a sweep is seen only in the second scrape

    work(own_service, own_store)
    until(lambda: go_on(own_service) and prometheus.empty(panel_queries()) == [])

    own_store.pause()
    until(lambda: "TokenlifeStoreUnreachable" in prometheus.active())
    told = prometheus.active()["TokenlifeStoreUnreachable"]["annotations"]["summary"]
    assert told.startswith(f"127.0.0.1:{own_service.ops_port} does not reach the store")
    own_store.resume()

    own_service.kill()
    until(lambda: {"TokenlifeDown", "TokenlifeInstanceDown"} <= prometheus.active().keys())
