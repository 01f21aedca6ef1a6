"""What a pod promises to its cluster, held against what the service does."""

from typing import Any

import pytest

from service.settings import Settings, load
from tests.deploy.reading import DEPLOY, configured, container, image_environment, manifest, manifests, steps, whole

WORKLOADS = ["Deployment", "StatefulSet"]
NAMES = {"Deployment": "tokenlife", "StatefulSet": "tokenlife-redis"}
SPARE_S = 5  # for what is not waited for by a clock: the last sweep, the links, a busy node


def pod(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = manifest(kind, NAMES[kind])["spec"]["template"]["spec"]
    return found


def without_secrets(given: dict[str, str]) -> Settings:
    return load({name: value for name, value in given.items() if not name.endswith("_FILE")})


def settings() -> Settings:
    """Those of a pod."""
    return without_secrets(configured())


def needed_s(given: Settings) -> float:
    """What an end takes at most.  Each port has a runner, and they end one after the other."""
    runners = sum(port is not None for port in (given.port, given.ops_port, given.grpc_port))
    return (given.drain_ms + runners * given.grace_ms) / 1000 + SPARE_S


def test_a_pod_has_the_time_to_drain() -> None:
    stop_s = container()["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert stop_s > 0
    assert settings().drain_ms > 0
    assert pod("Deployment")["terminationGracePeriodSeconds"] >= stop_s + needed_s(settings())


def test_compose_waits_for_the_end_too() -> None:
    service = whole(DEPLOY / "compose.yaml")["services"]["tokenlife"]
    given = image_environment() | service["environment"]

    seconds = float(service["stop_grace_period"].removesuffix("s"))

    assert seconds >= needed_s(without_secrets(given))


def test_a_load_balancer_that_asks_for_readiness_itself_learns_of_the_drain_in_time() -> None:
    probe = container()["readinessProbe"]

    learns_s = probe["periodSeconds"] * probe["failureThreshold"]

    assert learns_s < settings().drain_ms / 1000


@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
def test_a_lost_store_makes_no_probe_time_out(probe: str) -> None:
    """/readyz looks at the store before it answers that it is ready all the same; never longer than a request does."""
    assert container()[probe]["timeoutSeconds"] > settings().store_timeout_ms / 1000
    assert settings().ready_needs_store is False


def test_the_health_of_an_image_is_asked_more_patiently_than_the_question_itself() -> None:
    [check] = steps("HEALTHCHECK")

    assert "--timeout=6s" in check.rest  # `tokenlife healthcheck` gives up after 5
    assert check.rest.endswith('CMD ["tokenlife", "healthcheck"]')


@pytest.mark.parametrize("kind", WORKLOADS)
def test_pods_are_restricted(kind: str) -> None:
    """The Pod Security Standard `restricted`, and a root that is read-only beyond it."""
    found, inside = pod(kind), container(kind, NAMES[kind])["securityContext"]

    allowed = found["securityContext"]

    assert allowed["runAsNonRoot"] is True
    assert allowed["runAsUser"] == allowed["runAsGroup"] == allowed["fsGroup"] == 65532
    assert allowed["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inside["allowPrivilegeEscalation"] is False
    assert inside["readOnlyRootFilesystem"] is True
    assert inside["capabilities"] == {"drop": ["ALL"]}
    assert found["automountServiceAccountToken"] is False
    assert not found.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers"}


def test_namespaces_enforce_that() -> None:
    labels = [one["metadata"]["labels"] for one in manifests() if one["kind"] == "Namespace"]

    assert labels == [{"pod-security.kubernetes.io/enforce": "restricted"}] * 2


def test_the_image_runs_as_the_user_of_the_pods() -> None:
    [user], [volume] = steps("USER"), steps("VOLUME")

    assert user.rest == "65532:65532"
    assert volume.words == [image_environment()["TOKENLIFE_DATA_DIR"]]
    assert [step.words for word in ("ENTRYPOINT", "CMD") for step in steps(word)] == [["tokenlife"], ["serve"]]


def test_what_is_written_has_a_place() -> None:
    """Several workers keep their numbers in the directory for temporary files."""
    mounts = {mount["mountPath"]: mount for mount in container()["volumeMounts"]}
    [tmp] = [volume for volume in pod("Deployment")["volumes"] if volume["name"] == mounts["/tmp"]["name"]]

    assert "emptyDir" in tmp
    assert [path for path, mount in mounts.items() if not mount.get("readOnly")] == ["/tmp"]


def test_selectors_meet_the_pods_that_they_mean() -> None:
    labels = {NAMES[kind]: manifest(kind, NAMES[kind])["spec"]["template"]["metadata"]["labels"] for kind in WORKLOADS}

    chosen = {
        (one["kind"], one["metadata"]["name"]): selector
        for one in manifests()
        if (selector := (one.get("spec") or {}).get("selector") or (one.get("spec") or {}).get("podSelector"))
    }

    assert len(chosen) > 6
    for (kind, name), selector in chosen.items():
        wanted = selector.get("matchLabels", selector)
        assert kind == "ServiceMonitor" or any(wanted.items() <= each.items() for each in labels.values()), (kind, name)


def test_there_are_three_and_one_at_a_time_may_be_missing() -> None:
    scaler, budget = manifest("HorizontalPodAutoscaler")["spec"], manifest("PodDisruptionBudget")["spec"]
    deployment = manifest("Deployment")["spec"]

    spread = {one["topologyKey"] for one in pod("Deployment")["topologySpreadConstraints"]}

    assert deployment["replicas"] == scaler["minReplicas"] == 3
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300
    assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


def test_every_store_keeps_what_it_holds() -> None:
    composed = whole(DEPLOY / "compose.yaml")["services"]["tokenlife-redis"]["command"]
    stateful = container("StatefulSet", "tokenlife-redis")["args"]

    for words in (composed, stateful):
        assert words[words.index("--maxmemory-policy") + 1] == "noeviction"
        assert words[words.index("--appendonly") + 1] == "yes"
        assert not [word for word in words if "requirepass" in word]  # it stands in a file
