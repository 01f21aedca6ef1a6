"""What a PromQL expression asks about: metrics, labels and values.  Enough of the language for the ones in deploy/."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

TARGET = {"job", "instance", "namespace"}  # labels that Prometheus adds; `up` has no others
METRIC = re.compile(r"\b(tokenlife_\w+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
BY = re.compile(r"\bby \(([^)]*)\)")


class Matcher(NamedTuple):
    label: str
    how: str
    value: str


class Sample(NamedTuple):
    """What the service tells."""

    name: str
    labels: dict[str, str]


class Asked(NamedTuple):
    metric: str
    matchers: tuple[Matcher, ...]


def asked(expression: str) -> list[Asked]:
    return [
        Asked(metric, tuple(Matcher(*found) for found in MATCHER.findall(braces)))
        for metric, braces in METRIC.findall(expression)
    ]


def grouped(expression: str) -> set[str]:
    """The labels that it groups by."""
    return {label.strip() for labels in BY.findall(expression) for label in labels.split(",")}


def untold(expression: str, samples: Sequence[Sample]) -> list[str]:
    """What it names of which nothing is told: a metric, a label of it, or a value of that, excluded ones included."""
    told = [(one, [sample for sample in samples if sample.name == one.metric]) for one in asked(expression)]
    missing = [one.metric for one, found in told if not found and one.metric != "up"]
    missing += [f"{one.metric}{{{name}}}" for one, found in told for name in _unseen(one.matchers, found)]
    labels = {label for _, found in told for sample in found for label in sample.labels}
    return missing + sorted(grouped(expression) - labels - TARGET)


def _unseen(matchers: Sequence[Matcher], samples: Sequence[Sample]) -> Iterator[str]:
    for matcher in matchers:
        values = [sample.labels[matcher.label] for sample in samples if matcher.label in sample.labels]
        for alternative in matcher.value.split("|"):
            if matcher.label not in TARGET and not any(re.fullmatch(alternative, value) for value in values):
                yield f'{matcher.label}="{alternative}"'
