"""Envoy's question over gRPC, asked without Envoy: what its configuration never sends, and several workers."""

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc.aio
import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from service.grpc_check import ROUTE
from tests.gateways.running import service_on
from tests.gateways.test_endpoint import FORGED, IDENTITY
from tests.logs.reading import Log
from tests.servers import Server, Service, free_port, wait_until
from tests.world import World

ALONE = [("grpc.use_local_subchannel_pool", 1)]  # each channel has a connection of its own
OK, UNAUTHENTICATED = 0, 16


async def check(port: int, headers: Mapping[str, str], **asked: str) -> Any:
    request = CheckRequest()
    request.attributes.request.http.headers.update(headers)
    request.attributes.context_extensions.update({name.replace("_", "-"): value for name, value in asked.items()})
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=ALONE) as channel:
        call: Any = channel.unary_unary(ROUTE, CheckRequest.SerializeToString, CheckResponse.FromString)
        return await call(request, timeout=10.0)


def headers_of(answer: Any) -> dict[str, str]:
    """Of a request that passes: those that are set, and empty those that are taken away."""
    said = answer.ok_response
    return {one.header.key: one.header.value for one in said.headers} | dict.fromkeys(said.headers_to_remove, "")


async def test_all_of_an_identity_is_set_or_taken_away(world: World, grpc_port: int) -> None:
    token, eternal = await world.issue(scopes=("read",)), await world.issue(life_ms=None)

    answers = [await check(grpc_port, {"authorization": f"Bearer {one.text}"}) for one in (token, eternal)]

    assert [answer.status.code for answer in answers] == [OK, OK]
    assert [headers_of(answer).keys() for answer in answers] == [{f"X-Token-{name}" for name in IDENTITY}] * 2
    assert headers_of(answers[1])["X-Token-Remaining-Ms"] == headers_of(answers[1])["X-Token-Scopes"] == ""


@pytest.mark.usefixtures("service")
async def test_a_refusal_is_one_of_grpc_and_of_http(grpc_port: int) -> None:
    answer = await check(grpc_port, {"authorization": f"Bearer {FORGED}"})

    assert (answer.status.code, answer.denied_response.status.code) == (UNAUTHENTICATED, 401)
    assert b"unknown" in answer.denied_response.body.encode()


async def test_a_verb_that_is_none_is_refused_to_who_configured_it(service: Service, grpc_port: int) -> None:
    request = {"authorization": f"Bearer {FORGED}", "x-request-id": "of-a-wrong-route"}

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await check(grpc_port, request, verb="issue")

    line = await Log(service).answered({"X-Request-Id": "of-a-wrong-route"})
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (line["status"], line["outcome"], line["level"]) == (400, "invalid_request", "INFO")
    assert "Traceback" not in service.said()


async def test_a_fault_of_ours_is_no_yes_and_its_line_says_so(world: World, service: Service, grpc_port: int) -> None:
    """Of a record that a hand has broken."""
    token = await world.issue()
    [key] = [key async for key in world.redis.scan_iter(match=f"*:t:{token.token.id.replace('-', '')}")]
    await replace(world, key, b"{", b"?")

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await check(grpc_port, {"authorization": f"Bearer {token.text}", "x-request-id": "of-a-broken-one"})
    await replace(world, key, b"?", b"{")

    line = await Log(service).answered({"X-Request-Id": "of-a-broken-one"})
    assert refused.value.code() == grpc.StatusCode.UNKNOWN
    assert (line["status"], line["outcome"], line["level"]) == (500, "failed", "ERROR")
    assert token.text[-43:] not in service.said() + str(refused.value)


async def replace(world: World, key: bytes, what: bytes, by: bytes) -> None:
    record: Any = await world.redis.get(key)
    await world.redis.set(key, record.replace(what, by))


async def test_several_workers_share_the_port_and_end_with_the_service(world: World, store: Server) -> None:
    token, port = await world.issue(), free_port()

    with service_on(store, workers=2, grpc_port=port) as service:
        said = {"authorization": f"Bearer {token.text}"}
        names = [f"asked-over-grpc-{number}" for number in range(40)]
        answers = [await check(port, {**said, "x-request-id": name}) for name in names]
        log = Log(service)
        await wait_until(lambda: len(log.lines(route=ROUTE)) == len(names), 20.0)
        told = sorted(line["request_id"] for line in log.lines(route=ROUTE))
        code = await asyncio.to_thread(service.stop)

    assert {answer.status.code for answer in answers} == {OK}
    assert told == sorted(names)
    assert code == 0
