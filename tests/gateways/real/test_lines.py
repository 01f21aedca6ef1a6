"""Each question of a gateway is a line in the service's log and a number in its metrics, gRPC included."""

import asyncio
import json
import secrets
import urllib.request
from typing import Any

import pytest

from tests.gateways.real.client import Client
from tests.gateways.real.programs import Gateway
from tests.gateways.test_endpoint import FORGED
from tests.servers import Server, Service, wait_until
from tests.world import World

HTTP, GRPC = "/gateway/{tail}", "/envoy.service.auth.v3.Authorization/Check"


class Asked:
    """One request through the gateway, and what the log tells of the question that it led to."""

    def __init__(self, service: Service) -> None:
        self.trace, self._service = secrets.token_hex(16), service
        self.lines = [("traceparent", f"00-{self.trace}-b7ad6b7169203331-01")]

    async def told(self) -> dict[str, Any]:
        await wait_until(lambda: self.trace in self._service.err.read_text(), 20.0)
        [line] = [line for line in self._service.err.read_text().splitlines() if self.trace in line]
        found: dict[str, Any] = json.loads(line)
        return found


@pytest.fixture
def route(gateway: Gateway) -> str:
    """Where its questions come in; nginx and HAProxy and Traefik ask for the bare path."""
    return {"envoy-grpc": GRPC, "envoy": HTTP}.get(gateway.name, "/gateway/use")


def asked(service: Service, route: str, status: int) -> int:
    """How many such requests the metrics count."""
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=10.0) as answer:
        lines = answer.read().decode().splitlines()
    found = [
        float(line.split()[-1])
        for line in lines
        if line.startswith("tokenlife_request_seconds_count{")
        and f'route="{route}"' in line
        and f'status="{status}"' in line
    ]
    return int(sum(found))


async def test_a_use_has_its_line_and_its_number(world: World, http: Client, service: Service, route: str) -> None:
    token, request, before = await world.issue(), Asked(service), asked(service, route, 200)

    await http.ask("/x?secret=hunter2", token, lines=request.lines)

    line = await request.told()
    assert (line["verb"], line["handle"], line["outcome"]) == ("use", token.token.id, "ok")
    assert (line["route"], line["status"], line["level"]) == (route, 200, "INFO")
    assert 0 < line["duration_ms"] < 60_000
    assert line["request_id"]
    assert asked(service, route, 200) == before + 1
    said = service.err.read_text()
    assert not [secret for secret in ("hunter2", token.text[-72:-44], token.text[-43:]) if secret in said]


@pytest.mark.parametrize(("text", "outcome"), [(None, "missing"), (FORGED, "malformed")])
async def test_a_refusal_has_its_word(
    http: Client, service: Service, route: str, text: str | None, outcome: str
) -> None:
    request = Asked(service)

    await http.ask("/x", text, lines=request.lines)

    line = await request.told()
    assert (line["verb"], line["outcome"], line["route"], line["status"]) == ("use", outcome, route, 401)
    assert "handle" not in line


async def test_a_scope_that_is_lacking_is_said(world: World, http: Client, service: Service) -> None:
    token, request = await world.issue(scopes=("read",)), Asked(service)

    await http.ask("/admin/x", token, lines=request.lines)

    line = await request.told()
    assert (line["outcome"], line["handle"], line["status"]) == ("forbidden", token.token.id, 403)


async def test_an_outage_is_an_error(world: World, http: Client, service: Service, store: Server) -> None:
    token, request = await world.issue(), Asked(service)

    store.pause()
    try:
        await http.ask("/x", token, lines=request.lines)
    finally:
        store.resume()

    line = await request.told()
    assert (line["outcome"], line["fault"], line["status"]) == ("unavailable", "Unavailable", 503)
    assert line["level"] == "ERROR"


async def test_many_at_once_have_each_a_line_of_their_own(world: World, http: Client, service: Service) -> None:
    tokens = [await world.issue(f"owner-{number}") for number in range(20)]
    requests = [Asked(service) for _ in tokens]

    await asyncio.gather(*[http.ask("/x", token, lines=one.lines) for token, one in zip(tokens, requests, strict=True)])

    handles = [(await one.told())["handle"] for one in requests]
    assert handles == [token.token.id for token in tokens]
