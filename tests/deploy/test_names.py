"""A manifest that names a setting, port or path that the service does not have fails at the first rollout."""

import re
from pathlib import Path
from typing import Any

import pytest

from service import __version__
from service.settings import describe, load
from tests.deploy import reading
from tests.deploy.reading import DEPLOY, configured, container, image_environment, manifest, manifests, steps, whole
from tests.servers import Service

SETTING = re.compile(r"TOKENLIFE_[A-Z]\w*")


def test_every_setting_that_is_named_exists() -> None:
    known = {setting.name for setting in describe({})}
    known |= {f"{setting.name}_FILE" for setting in describe({}) if setting.secret}
    files = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".txt"]

    named = {name for path in files for name in SETTING.findall(path.read_text(encoding="utf-8"))}

    assert "TOKENLIFE_SIGNING_KEYS_FILE" in named
    assert named - known == set()


def test_the_settings_of_pods_image_and_compose_are_accepted(tmp_path: Path) -> None:
    for name, content in {"redis-url": "redis://x", "signing-keys": "k" * 16, "admin-token": "a" * 20}.items():
        (tmp_path / name).write_text(content)
    image, inside = image_environment(), re.compile(r"/run/secrets/(tokenlife/)?")

    for given in (image, configured(), image | configured(), image | composed()["environment"]):
        ours = {name: value for name, value in given.items() if name.startswith("TOKENLIFE_")}
        here = {name: inside.sub(f"{tmp_path}/", value) for name, value in ours.items()}

        assert load(here).ops_port == 9090


def test_secrets_are_mounted_where_the_settings_look_for_them() -> None:
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    [mount] = [one for one in container()["volumeMounts"] if one["name"] == "secrets"]
    [volume] = [one for one in pod["volumes"] if one["name"] == "secrets"]

    paths = [Path(value) for name, value in configured().items() if name.endswith("_FILE")]
    composed_paths = [value for name, value in composed()["environment"].items() if name.endswith("_FILE")]

    assert {str(path.parent) for path in paths} == {mount["mountPath"]}
    assert "subPath" not in mount  # a single file would stay as it was when the pod began
    assert {path.name for path in paths} == generated_secrets()[volume["secret"]["secretName"]]
    assert sorted(composed_paths) == sorted(f"/run/secrets/{name}" for name in composed()["secrets"])


def composed() -> dict[str, Any]:
    found: dict[str, Any] = whole(DEPLOY / "compose.yaml")["services"]["tokenlife"]
    return found


def generated_secrets() -> dict[str, set[str]]:
    """The keys of the secrets that the overlay dev makes, by their names."""
    [made] = [one["secretGenerator"] for one in manifests() if "secretGenerator" in one]
    return {secret["name"]: {literal.split("=")[0] for literal in secret["literals"]} for secret in made}


def test_all_agree_on_the_ports() -> None:
    given = configured()
    pods = {port["name"]: port["containerPort"] for port in container()["ports"]}

    ports = {"http": int(given["TOKENLIFE_PORT"]), "ops": int(given["TOKENLIFE_OPS_PORT"])}
    service = {port["name"]: (port["port"], port["targetPort"]) for port in manifest("Service")["spec"]["ports"]}
    image = image_environment()
    published = [port.split(":")[-1] for port in composed()["ports"]]
    [scraped] = whole(DEPLOY / "prometheus" / "prometheus.yaml")["scrape_configs"][0]["static_configs"][0]["targets"]
    assert pods == ports
    assert service == {name: (port, name) for name, port in ports.items()}
    assert [int(image["TOKENLIFE_PORT"]), int(image["TOKENLIFE_OPS_PORT"])] == list(ports.values())
    assert [int(port) for port in steps("EXPOSE")[0].rest.split()] == list(ports.values())
    assert [int(port) for port in published] == list(ports.values())
    assert int(scraped.split(":")[1]) == ports["ops"]


def test_policies_open_ports_that_pods_have() -> None:
    policies = [one for one in manifests() if one["kind"] == "NetworkPolicy"]
    names = {port["name"] for port in container()["ports"]}

    opened = {port["port"] for one in policies for way in one["spec"].get("ingress", []) for port in way["ports"]}

    assert opened == names | {6379}


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_probes_ask_for_what_answers_on_the_port_of_operations(probe: str, service: Service) -> None:
    asked_for = container()[probe]["httpGet"]

    status = service.status(asked_for["path"])

    assert asked_for["port"] == "ops"
    assert status == 200


def test_prometheus_scrapes_what_answers(service: Service) -> None:
    monitor = manifest("ServiceMonitor")["spec"]
    labels = manifest("Service")["metadata"]["labels"]

    [endpoint] = monitor["endpoints"]

    assert endpoint["port"] == "ops"
    assert service.status(endpoint["path"]) == 200
    assert monitor["selector"]["matchLabels"].items() <= labels.items()


def test_the_image_is_of_this_version() -> None:
    [version] = [step.rest.split("=")[1] for step in steps("ARG") if step.rest.startswith("VERSION=")]
    [tag] = [one["images"][0]["newTag"] for one in manifests() if one.get("namespace") == "tokenlife"]

    built = composed()["image"]

    assert {version, tag, built.split(":")[1]} == {__version__}
    assert len({stage[0].rest.split()[0] for stage in reading.stages()}) == 1  # one base, so that the venv fits
