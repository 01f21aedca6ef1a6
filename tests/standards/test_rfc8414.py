"""RFC 8414, OAuth 2.0 Authorization Server Metadata, as far as a server goes that has no token endpoint."""

import aiohttp
import pytest

from tests.gateways.running import service_on
from tests.servers import Server
from tests.standards.oauth import call

Http = aiohttp.ClientSession
PATH = "/.well-known/oauth-authorization-server"


async def test_it_is_json_for_everybody(http: Http) -> None:
    """3.1, 3.2: GET without authentication, 200, application/json"""
    async with http.get(PATH) as answer:
        found = await answer.json()

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert isinstance(found, dict)


async def test_only_get_and_head_are_served(http: Http) -> None:
    """3.1"""
    answer = await call(http, PATH, "")

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_the_endpoints_that_it_names_are_there(http: Http) -> None:
    """2"""
    async with http.get(PATH) as answer:
        found = await answer.json()

    for name in ("introspection_endpoint", "revocation_endpoint"):
        async with http.post(found[name]) as answer:
            assert answer.status == 400


async def test_required_members_are_there_and_none_is_empty(http: Http) -> None:
    """2: issuer and response_types_supported; 3.2: no empty lists"""
    async with http.get(PATH) as answer:
        found = await answer.json()

    assert found["issuer"]
    assert found["response_types_supported"] == ["none"]
    assert all(found.values())


async def test_methods_of_authentication_are_registered_names(http: Http) -> None:
    """2: of the token endpoint's methods, and for introspection also of the types of access tokens"""
    async with http.get(PATH) as answer:
        found = await answer.json()

    assert found["introspection_endpoint_auth_methods_supported"] == ["client_secret_basic", "Bearer"]
    assert found["revocation_endpoint_auth_methods_supported"] == ["client_secret_basic"]


@pytest.mark.parametrize("host", ["tokens.example", "tokens.example:8443"])
async def test_the_issuer_is_where_the_document_was_found(http: Http, host: str) -> None:
    """3.3: identical to the identifier that the well-known path was put into"""
    async with http.get(PATH, headers={"Host": host}) as answer:
        found = await answer.json()

    assert found["issuer"] == f"http://{host}"


async def test_behind_tls_the_settings_name_the_issuer(store: Server) -> None:
    """2: an https URL without query and fragment; no Host of a request changes it"""
    with service_on(store, public_url="https://tokens.example/") as running:
        async with (
            aiohttp.ClientSession(running.url) as http,
            http.get(PATH, headers={"Host": "evil.example"}) as answer,
        ):
            found = await answer.json()

    assert found["issuer"] == "https://tokens.example"
    assert found["revocation_endpoint"] == "https://tokens.example/oauth2/revoke"
