"""What the scenarios ask of the service over its API, and what it cost."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec

from tests.bench.calls import request
from tests.bench.load import Plan, send, send_from_here
from tests.bench.servers import ADMIN, Store, cpu_seconds
from tests.servers import Service


class Cost(msgspec.Struct):
    """Of one thing that was asked for."""

    store_us: float  # processor time of the store
    server_us: float  # and of the service
    commands: float  # that the store ran, those of scripts too


class Round(msgspec.Struct, frozen=True):
    """What is asked in one go."""

    requests: list[bytes]
    things: int  # that it is for
    status: int = 200


def cost(store: Store, service: Service, round_: Round) -> Cost:
    """One request after the other, so that no two share a call.  Raises SystemExit when one is refused."""
    ran, before = store.ran(), _spent(store, service)  # the questions of the bench itself are before and after
    send_from_here(Plan(service.port, round_.requests, lanes=1, once=True, status=round_.status))
    after = _spent(store, service)
    store_s, server_s = (now - was for now, was in zip(after, before, strict=True))
    commands = store.ran() - ran
    return Cost(store_s / round_.things * 1e6, server_s / round_.things * 1e6, commands / round_.things)


def _spent(store: Store, service: Service) -> tuple[float, float]:
    return cpu_seconds(store), cpu_seconds(service)


def get(path: str, **query: object) -> bytes:
    return request("GET", f"{path}?{urlencode(query)}" if query else path, ADMIN)


def answered(service: Service, asked: bytes) -> Any:
    return msgspec.json.decode(send(Plan(service.port, [asked], lanes=1, once=True)).bodies[0])


def new(owner: str, life_ms: int) -> bytes:
    return request("POST", "/v1/tokens", ADMIN, {"owner": owner, "tenant": "default", "life_ms": life_ms})


def revoke_owner(owner: str) -> bytes:
    return request("POST", f"/v1/owners/{owner}/revoke", ADMIN, {"tenant": "default"})


def now_place(service: Service) -> str:
    """The end of the events as they are now."""
    cursor: str = answered(service, get("/v1/events", after="now", limit=1))["next"]
    return cursor


def expiries(service: Service, after: str) -> Iterator[dict[str, Any]]:
    """What the events tell of each expiry since."""
    while True:
        found = answered(service, get("/v1/events", after=after, type="tokenlife.token.expired", limit=1000))
        yield from (event["data"] for event in found["events"])
        if found["next"] == after:
            return
        after = found["next"]


def wait_for_expired(service: Service, count: int, timeout_s: float = 60.0) -> None:
    """Until so many tokens are marked expired.  Raises SystemExit after the time."""
    deadline = time.monotonic() + timeout_s
    while (marked := expired(service)) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: {marked:,} of {count:,} tokens are marked expired after {timeout_s:g} s")
        time.sleep(0.2)


def expired(service: Service) -> int:
    found: int = answered(service, get("/v1/tokens/count", state="expired"))["total"]
    return found
