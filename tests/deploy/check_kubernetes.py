"""The manifests, rendered by kubectl and judged by the schemas of the API and of the operator; no cluster."""

import json
from pathlib import Path

import pytest

from tests.deploy.reading import KUBERNETES, Json, documents
from tests.deploy.tools import python, tool
from tests.servers import ROOT

# All objects of an overlay: a judge has nothing against a document that is missing.
OBJECTS = {
    "dev": {
        "Namespace": 1, "ServiceAccount": 1, "ConfigMap": 1, "Secret": 2, "Service": 2, "Deployment": 1,
        "StatefulSet": 1, "PodDisruptionBudget": 1,
    },
    "production": {
        "Namespace": 1, "ServiceAccount": 1, "ConfigMap": 2, "Service": 1, "Deployment": 1, "PodDisruptionBudget": 1,
        "HorizontalPodAutoscaler": 1, "ServiceMonitor": 1, "PrometheusRule": 1, "NetworkPolicy": 4,
    },
}  # fmt: skip
OPERATOR = {"ServiceMonitor", "PrometheusRule"}
OLDEST, NEWEST = "1.30", "1.37"  # a preStop that sleeps came with 1.30

# A field that the operator does not know vanishes in its model, so what comes out must be what went in.
MODELS = """
import json, sys
from cloudcoil.models.prometheus_operator import v1
given = json.load(sys.stdin)
seen = getattr(v1, given["kind"]).model_validate(given)
json.dump(seen.model_dump(mode="json", by_alias=True, exclude_unset=True), sys.stdout)
"""


def rendered(overlay: str) -> str:
    found = tool("kubectl", "kustomize", KUBERNETES / "overlays" / overlay)
    assert found.returncode == 0, found.stderr
    assert "Warning" not in found.stderr
    return found.stdout


def counted(objects: list[Json]) -> dict[str, int]:
    kinds = [one["kind"] for one in objects]
    return {kind: kinds.count(kind) for kind in kinds}


def judged(text: str, version: str, where: Path) -> list[str]:
    """What the schemas of that Kubernetes have against it."""
    where.write_text(text)
    found = tool("kubernetes-validate", "--strict", "-k", version, where)
    lines = [line for line in (found.stdout + found.stderr).splitlines() if not line.startswith("INFO")]
    return [line for line in lines if not any(f"schema for kind {kind} " in line for kind in OPERATOR)]


@pytest.mark.parametrize("overlay", OBJECTS)
def test_an_overlay_renders_all_that_it_should(overlay: str) -> None:
    objects = documents(rendered(overlay))

    assert counted(objects) == OBJECTS[overlay]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("overlay", OBJECTS)
def test_kubernetes_knows_every_field(overlay: str, version: str, tmp_path: Path) -> None:
    text = rendered(overlay)

    assert judged(text, version, tmp_path / "all.yaml") == []


@pytest.mark.parametrize(
    ("right", "wrong", "version"),
    [("runAsNonRoot", "runAsNonroot", NEWEST), ("maxReplicas: 10", "maxReplicas: ten", NEWEST), ("x", "x", "1.28")],
)
def test_a_mistake_is_seen(right: str, wrong: str, version: str, tmp_path: Path) -> None:
    """The last: what is newer than the Kubernetes that it is judged for."""
    text = rendered("production").replace(right, wrong)

    assert judged(text, version, tmp_path / "all.yaml") != []


@pytest.mark.parametrize("kind", sorted(OPERATOR))
def test_the_operator_knows_every_field_of_its_own(kind: str) -> None:
    [given] = [one for one in documents(rendered("production")) if one["kind"] == kind]

    found = python(MODELS, json.dumps(given))

    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == given


def test_a_mistake_in_what_is_the_operators_is_seen() -> None:
    [given] = [one for one in documents(rendered("production")) if one["kind"] == "ServiceMonitor"]
    [endpoint] = given["spec"]["endpoints"]
    misspelt = given | {"spec": given["spec"] | {"endpoints": [endpoint | {"intervall": "15s"}]}}
    wrong = given | {"spec": given["spec"] | {"endpoints": [endpoint | {"interval": "often"}]}}

    unknown, refused = python(MODELS, json.dumps(misspelt)), python(MODELS, json.dumps(wrong))

    assert json.loads(unknown.stdout) != misspelt
    assert refused.returncode != 0


def test_the_autoscaler_owns_the_number_of_pods_in_production() -> None:
    [deployment] = [one for one in documents(rendered("production")) if one["kind"] == "Deployment"]

    assert "replicas" not in deployment["spec"]


def test_each_object_is_in_the_namespace_of_its_overlay() -> None:
    for overlay in OBJECTS:
        objects = documents(rendered(overlay))
        [space] = [one["metadata"]["name"] for one in objects if one["kind"] == "Namespace"]

        others = {one["metadata"].get("namespace") for one in objects if one["kind"] != "Namespace"}

        assert others == {space}


def test_secrets_keep_their_names_and_settings_roll_the_pods() -> None:
    """A Secret whose name changes with its content would roll the pods, and they look by themselves."""
    objects = documents(rendered("dev"))

    [deployment] = [one for one in objects if one["kind"] == "Deployment"]
    secrets = {one["metadata"]["name"] for one in objects if one["kind"] == "Secret"}
    [config] = [one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"]
    pod = deployment["spec"]["template"]["spec"]
    assert secrets == {"tokenlife", "tokenlife-redis"}
    assert config != "tokenlife"
    assert pod["containers"][0]["envFrom"] == [{"configMapRef": {"name": config}}]


def test_every_yaml_reads_well() -> None:
    found = tool("yamllint", "--strict", "--config-file", ROOT / "deploy" / ".yamllint", ROOT / "deploy")

    assert found.stdout == ""
    assert found.returncode == 0
