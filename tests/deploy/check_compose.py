"""compose.yaml by the Compose Specification, and the health check of its store by its own words."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.composed import COMPOSE, SECRETS, ComposedStore, services
from tests.deploy.test_compose import make_secrets
from tests.deploy.tools import LONG_S, python

JUDGE = "import sys, compose_spec; compose_spec.PyCompose.from_yaml(sys.stdin.read()).validate()"


def test_it_is_as_the_specification_says() -> None:
    found = python(JUDGE, COMPOSE.read_text())

    assert found.stderr == ""
    assert found.returncode == 0


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("read_only:", "read_onli:"), ("service_healthy", "healthy"), ("interval: 5s", "interval: 5x")],
)
def test_a_mistake_is_seen(right: str, wrong: str) -> None:
    assert python(JUDGE, COMPOSE.read_text().replace(right, wrong)).returncode != 0


@pytest.mark.parametrize(("password", "code"), [("", 0), ("requirepass wrong", 1)])
def test_the_health_of_the_store_is_asked_with_its_password(password: str, code: int, tmp_path: Path) -> None:
    """Here Debian's redis-cli stands for valkey-cli, which is the same program under another name."""
    make_secrets(tmp_path / "secrets")
    client = shutil.which("valkey-cli") or shutil.which("redis-cli")
    assert client, "install redis-tools: the health check cannot run without its client"
    (tmp_path / "valkey-cli").symlink_to(client)
    _, command = services()["tokenlife-redis"]["healthcheck"]["test"]

    with ComposedStore(tmp_path / "secrets") as store:
        if password:
            (tmp_path / "secrets" / "redis.conf").write_text(password)
        here = command.replace("$$", "$").replace(SECRETS, f"{tmp_path}/secrets/").replace("-e", f"-p {store.port} -e")
        found = subprocess.run(
            ["sh", "-c", here], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=False, timeout=LONG_S
        )

    assert found.returncode == code
