"""What stands in deploy/, as data."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]  # it comes with schemathesis, its types do not

from tests.servers import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
DOCKERFILE = DEPLOY / "Dockerfile"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "tokenlife.json"

Json = Any


def documents(text: str) -> list[Json]:
    """Of a YAML text, those that are not empty."""
    return [document for document in yaml.safe_load_all(text) if document is not None]


def whole(path: Path) -> Json:
    """The one document of a file."""
    [document] = documents(path.read_text(encoding="utf-8"))
    return document


def manifests() -> list[Json]:
    """Every object below kubernetes/, kustomizations included."""
    return [one for path in sorted(KUBERNETES.rglob("*.yaml")) for one in documents(path.read_text(encoding="utf-8"))]


def manifest(kind: str, name: str = "tokenlife") -> Json:
    [found] = [one for one in manifests() if (one["kind"], one.get("metadata", {}).get("name")) == (kind, name)]
    return found


def container(kind: str = "Deployment", name: str = "tokenlife") -> Json:
    [found] = manifest(kind, name)["spec"]["template"]["spec"]["containers"]
    return found


def configured() -> dict[str, str]:
    """The settings that the base gives to every pod."""
    [generator] = whole(KUBERNETES / "base" / "kustomization.yaml")["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in generator["literals"])


def alerts() -> list[Json]:
    return [rule for group in whole(ALERTS)["groups"] for rule in group["rules"]]


def panels() -> list[Json]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return list(dashboard["panels"])


def panel_queries() -> dict[str, str]:
    """Each query of the dashboard with its variables filled in, by panel and letter."""
    return {
        f"{panel['title']} ({panel['id']}{target['refId']})": target["expr"]
        .replace("$__rate_interval", "1m")
        .replace("$namespace", ".*")
        for panel in panels()
        for target in panel["targets"]
    }


class Step(NamedTuple):
    """One instruction of the Dockerfile."""

    word: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The words of a JSON array."""
        return [str(word) for word in json.loads(self.rest)]


def stages() -> list[list[Step]]:
    """The instructions of the Dockerfile, stage by stage; each begins with its FROM."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    found: list[list[Step]] = []
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        word, rest = line.split(maxsplit=1)
        found += [[]] if word == "FROM" else []
        found[-1].append(Step(word, rest))
    return found


def steps(word: str) -> list[Step]:
    """Of the last stage, the one that runs."""
    return [step for step in stages()[-1] if step.word == word]


def image_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for step in steps("ENV") for pair in step.rest.split())


def queries() -> Iterator[tuple[str, str]]:
    """Every expression that asks Prometheus something, and where it stands."""
    yield from ((rule["alert"], rule["expr"]) for rule in alerts())
    yield from panel_queries().items()
