"""`/openapi.json` says what the service does: a valid document, and every call answers as it says.

The calls are made up by schemathesis from the document.  Of its checks these are left out, each for a reason: that
what fits the schema is accepted (whether a token is live is no matter of form), and that other methods are 405 (the
verbs below `/v1/tokens/` are handles to the other methods).
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import checks

from service.app import openapi
from tests.api.calls import ADMIN, KEYS
from tests.servers import Server, Service

HEADERS = {"Authorization": f"Bearer {ADMIN}"}
HTTP = requests.Session()
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]

DOCUMENT = msgspec.json.decode(msgspec.json.encode(openapi()))

schema = schemathesis.openapi.from_dict(DOCUMENT)


def test_the_description_is_valid_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_the_description_that_is_served_is_the_one_of_the_command_line(service: Service) -> None:
    served = requests.get(f"{service.url}/openapi.json", timeout=10)

    assert served.json() == DOCUMENT
    assert served.headers["Content-Type"] == "application/json"


@pytest.fixture(scope="module")
def apart() -> Iterator[Service]:
    """A service of its own: these calls end whatever they can."""
    with Server() as store, Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN) as running:
        yield running
        assert "fault" not in running.said()


@schema.parametrize()
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_call_answers_as_it_is_described(case: Any, apart: Service) -> None:
    parts, positive = case.path_parameters or {}, case.meta.generation.mode.is_positive
    headers = HEADERS
    if "id" in parts:
        parts["id"] = issued(apart)["id"]
    if positive and isinstance(case.body, dict) and "token" in case.body:
        case.body["token"] = issued(apart)["token"]
    if case.path.startswith("/v1/self"):
        headers = {"Authorization": f"Bearer {issued(apart)['token']}"}

    answer = case.call(base_url=apart.url, headers=headers, session=HTTP)

    # A list that is too long is refused for its bytes before anybody counts.
    case.validate_response(answer, checks=CHECKS[:-1] if answer.status_code == 413 else CHECKS)


def issued(service: Service) -> Any:
    answer = HTTP.post(f"{service.url}/v1/tokens", json={"owner": "ann"}, headers=HEADERS, timeout=10)
    return answer.json()
