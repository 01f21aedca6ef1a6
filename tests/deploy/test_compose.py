"""compose.yaml and the secrets that it mounts."""

import stat
import subprocess
from pathlib import Path

import pytest
import redis

from service.settings import load
from tests.deploy.composed import ComposedService, ComposedStore, services
from tests.deploy.reading import DEPLOY, whole
from tests.deploy.worked import get, post

MADE_FOR = "tokenlife-redis:6379"


def make_secrets(where: Path) -> dict[str, str]:
    subprocess.run(["sh", DEPLOY / "make-secrets.sh", where], check=True, timeout=30)
    return {file.name: file.read_text() for file in where.iterdir()}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    make_secrets(tmp_path / "secrets")
    return tmp_path / "secrets"


def password(secrets: Path) -> str:
    return (secrets / "redis.conf").read_text().removeprefix("requirepass ").strip()


def test_secrets_are_made_once_and_never_the_same(secrets: Path, tmp_path: Path) -> None:
    first = {file.name: file.read_text() for file in secrets.iterdir()}

    again, others = make_secrets(secrets), make_secrets(tmp_path / "others")

    assert again == first
    assert first.keys() == others.keys()
    assert not set(first.values()) & set(others.values())


def test_secrets_are_those_that_are_mounted_and_fit_the_settings(secrets: Path) -> None:
    named = {name: secrets / Path(one["file"]).name for name, one in whole(DEPLOY / "compose.yaml")["secrets"].items()}

    found = load(
        {
            "TOKENLIFE_REDIS_URL_FILE": str(named["redis-url"]),
            "TOKENLIFE_SIGNING_KEYS_FILE": str(named["signing-keys"]),
            "TOKENLIFE_ADMIN_TOKEN_FILE": str(named["admin-token"]),
        }
    )

    assert {path.name for path in secrets.iterdir()} == {path.name for path in named.values()}
    assert found.redis_url == f"redis://:{password(secrets)}@{MADE_FOR}/0"
    assert MADE_FOR.split(":", maxsplit=1)[0] in services()
    assert [len(key) for key in found.signing_keys] == [48]


def test_secrets_are_read_by_the_user_of_the_image_and_by_nobody_else_here(secrets: Path) -> None:
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in secrets.iterdir()}

    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o644}


def test_what_compose_starts_serves(secrets: Path) -> None:
    with ComposedStore(secrets) as store:
        (secrets / "redis-url").write_text(f"redis://:{password(secrets)}@127.0.0.1:{store.port}/0")
        with ComposedService(secrets) as service:
            admin = (secrets / "admin-token").read_text().strip()

            status, issued = post(f"{service.url}/v1/tokens", admin, {"owner": "ann"})
            seen = get(f"{service.url}/v1/self", str(issued["token"]))

            assert status == 201
            assert '"owner":"ann"' in seen
            assert not [content for content in make_secrets(secrets).values() if content.strip() in service.said()]


def test_the_store_of_compose_wants_its_password_keeps_a_log_and_evicts_nothing(secrets: Path) -> None:
    with ComposedStore(secrets) as store:
        with redis.Redis(port=store.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()

        with redis.Redis(port=store.port, password=password(secrets)) as known:
            config = known.config_get("append*", "maxmemory*", "save")

        assert config["appendonly"] == "yes"
        assert config["appendfsync"] == "everysec"
        assert config["maxmemory-policy"] == "noeviction"
        assert config["save"] == ""
        assert Path(f"/proc/{store.pid}/cmdline").read_text().count(password(secrets)) == 0
