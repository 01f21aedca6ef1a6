"""OAuth clients that others wrote introspect and revoke against the running service.  Run by `make test-gateways`."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6749.resource_protector import ResourceProtector
from authlib.oauth2.rfc6750.errors import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc7662 import IntrospectTokenValidator

from tests.gateways.real.programs import program
from tests.servers import Service
from tests.standards.oauth import INACTIVE, INTROSPECT, REVOKE
from tests.world import World

HERE = Path(__file__).parent
GRANTS = ("tokens:use", "tokens:revoke")


async def test_authlib_introspects_and_revokes(world: World, service: Service) -> None:
    token, secret = await world.issue("ann", scopes=("read",)), await world.caller(*GRANTS)

    def use_it() -> tuple[Any, int, Any]:
        with OAuth2Session("a-shop", secret, token_endpoint_auth_method="client_secret_basic") as client:
            before = client.introspect_token(service.url + INTROSPECT, token.text, "access_token")
            revoked = client.revoke_token(service.url + REVOKE, token.text, "access_token")
            after = client.introspect_token(service.url + INTROSPECT, token.text)
            return before.json(), revoked.status_code, after.json()

    before, revoked, after = await asyncio.to_thread(use_it)

    assert (before["active"], before["sub"], before["scope"]) == (True, "ann", "read")
    assert revoked == 200
    assert after == INACTIVE


class Validator(IntrospectTokenValidator):  # type: ignore[misc]
    """A resource server's, as authlib's manual has it; here it authenticates by Bearer."""

    def __init__(self, url: str, secret: str) -> None:
        super().__init__()
        self._url, self._secret = url, secret

    def introspect_token(self, token_string: str) -> Any:
        bearer = {"Authorization": f"Bearer {self._secret}"}
        answer = requests.post(self._url + INTROSPECT, {"token": token_string}, headers=bearer, timeout=10)
        answer.raise_for_status()
        return answer.json()


async def test_a_resource_server_on_authlib_lets_in_who_lives_and_has_the_scope(world: World, service: Service) -> None:
    token, secret = await world.issue("ann", scopes=("read",)), await world.caller(*GRANTS)
    revoked = await world.issue()
    await world.tokens.revoke(revoked.text)
    protector = ResourceProtector()
    protector.register_token_validator(Validator(service.url, secret))

    def enter(text: str, scopes: list[str]) -> Any:
        validator, string = protector.parse_request_authorization(Request(text))
        found = validator.authenticate_token(string)
        validator.validate_token(found, scopes, None)
        return found

    found = await asyncio.to_thread(enter, token.text, ["read"])

    assert found["sub"] == "ann"
    with pytest.raises(InsufficientScopeError):
        await asyncio.to_thread(enter, token.text, ["write"])
    with pytest.raises(InvalidTokenError):
        await asyncio.to_thread(enter, revoked.text, ["read"])


class Request:
    """As much of a request as the protector looks at."""

    def __init__(self, text: str) -> None:
        self.headers = {"Authorization": f"Bearer {text}"}


@pytest.fixture(scope="session")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """client.mjs beside the packages that it needs, as locked."""
    room = tmp_path_factory.mktemp("node")
    for file in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(HERE / file, room)
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit-lockfile-registry-resolved"]
    subprocess.run([program("npm"), "ci", *quiet], cwd=room, check=True, capture_output=True)
    return room / "client.mjs"


async def test_openid_client_discovers_introspects_and_revokes(
    world: World, service: Service, node_client: Path
) -> None:
    token, secret = await world.issue("ann", scopes=("read", "write")), await world.caller(*GRANTS)

    command = [program("node"), str(node_client), service.url, secret, token.text]
    said = await asyncio.to_thread(lambda: subprocess.run(command, capture_output=True, text=True, check=False))

    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["issuer"].rstrip("/") == service.url
    assert (found["before"]["active"], found["before"]["scope"]) == (True, "read write")
    assert type(found["before"]["exp"]) is int
    assert found["after"] == INACTIVE
    assert await world.states(token) == ["revoked"]
    assert found["refused"] == {
        "code": "OAUTH_WWW_AUTHENTICATE_CHALLENGE", "status": 401, "challenge": "basic",
    }  # fmt: skip
