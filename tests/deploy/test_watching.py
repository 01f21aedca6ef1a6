"""An alert or a panel that names what the service does not tell is silent on the day it is needed."""

import pytest
from prometheus_client import Metric

from tests.deploy.asked import Sample, asked, untold
from tests.deploy.reading import ALERTS, DEPLOY, alerts, manifest, panels, queries, whole


@pytest.mark.parametrize(("where", "expression"), list(queries()))
def test_what_is_asked_of_prometheus_the_service_tells(where: str, expression: str, samples: list[Sample]) -> None:
    names = asked(expression)

    missing = untold(expression, samples)

    assert names, where
    assert missing == []


@pytest.mark.parametrize(
    ("expression", "missing"),
    [
        ("rate(tokenlife_request_total[5m])", ["tokenlife_request_total"]),
        ('tokenlife_tokens{status="active"}', ['tokenlife_tokens{status="active"}']),
        ('tokenlife_tokens{state=~"active|dead"}', ['tokenlife_tokens{state="dead"}']),
        ('tokenlife_request_seconds_count{route!~"/live"}', ['tokenlife_request_seconds_count{route="/live"}']),
        ("sum by (namespace, verb) (tokenlife_tokens)", ["verb"]),
    ],
)
def test_what_the_service_does_not_tell_is_found(expression: str, missing: list[str], samples: list[Sample]) -> None:
    assert untold(expression, samples) == missing


def test_every_metric_of_the_service_is_looked_at(families: list[Metric]) -> None:
    shown = {one.metric for _, query in queries() for one in asked(query)}

    unseen = [
        family.name
        for family in families
        if not family.name.endswith("_created") and not shown & {sample.name for sample in family.samples}
    ]

    assert families
    assert unseen == []


def test_the_job_that_alerts_look_for_is_the_one_that_is_scraped() -> None:
    """Of a ServiceMonitor it is the name of the Service."""
    [own] = whole(DEPLOY / "prometheus" / "prometheus.yaml")["scrape_configs"]

    jobs = {
        matcher.value for _, query in queries() for one in asked(query) for matcher in one.matchers
        if matcher.label == "job"
    }  # fmt: skip

    assert jobs == {own["job_name"], manifest("Service")["metadata"]["name"]} == {"tokenlife"}


def test_the_rules_of_the_operator_are_those_of_prometheus() -> None:
    """`make rules` makes them."""
    assert manifest("PrometheusRule")["spec"] == whole(ALERTS)


def test_each_alert_says_how_bad_it_is_what_is_seen_and_what_to_do() -> None:
    manual = (DEPLOY / "README.md").read_text(encoding="utf-8")

    wrong = [
        rule["alert"]
        for rule in alerts()
        if rule["labels"]["severity"] not in {"critical", "warning"}
        or set(rule["annotations"]) != {"summary", "runbook"}
        or f"**{rule['alert']}**" not in manual
    ]

    assert len({rule["alert"] for rule in alerts()}) == len(alerts()) > 9
    assert wrong == []


def test_each_alert_is_tested_to_fire_and_to_be_silent() -> None:
    tests = [one for test in whole(ALERTS.with_name("alerts.test.yaml"))["tests"] for one in test["promql_expr_test"]]
    names = {rule["alert"] for rule in alerts()}

    firing = {name for one in tests for sample in one["exp_samples"] for name in names if name in sample["labels"]}
    silent = {name for one in tests for name in names if name in one["expr"] and not one["exp_samples"]}

    assert firing == silent == names


def test_panels_can_be_told_apart_and_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in panels()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24  # as wide as Grafana's grid
