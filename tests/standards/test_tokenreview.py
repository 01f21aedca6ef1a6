"""Kubernetes' TokenReview webhook, by its documented requests."""

from typing import Any

import aiohttp
import pytest

from tests.gateways.running import outage
from tests.servers import Server
from tests.standards.oauth import bearer
from tests.world import ADMIN, World

Http = aiohttp.ClientSession
V1, V1BETA1 = "authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"
FORGED = f"tl_{'A' * 28}.{'A' * 43}"


def as_asked(token: str, *audiences: str, version: str = V1) -> dict[str, Any]:
    """As the API server sends it, empty parts included."""
    spec = {"token": token, **({"audiences": list(audiences)} if audiences else {})}
    metadata = {"creationTimestamp": None}
    return {"kind": "TokenReview", "apiVersion": version, "metadata": metadata, "spec": spec, "status": {"user": {}}}


async def review(http: Http, asked: Any, caller: str = ADMIN) -> tuple[int, Any]:
    async with http.post("/k8s/tokenreview", json=asked, headers=bearer(caller)) as answer:
        return answer.status, await answer.json(content_type=None)


async def status_of(http: Http, token: str, *audiences: str) -> Any:
    code, answer = await review(http, as_asked(token, *audiences))
    assert code == 200
    return answer["status"]


@pytest.mark.parametrize("version", [V1, V1BETA1])
async def test_a_live_token_is_authenticated_in_the_version_asked(world: World, http: Http, version: str) -> None:
    token = await world.issue("ann", tenant="shop", scopes=("read",))

    code, answer = await review(http, as_asked(token.text, version=version))

    assert (code, answer["apiVersion"], answer["kind"]) == (200, version, "TokenReview")
    assert answer["status"]["authenticated"] is True
    user = answer["status"]["user"]
    assert (user["username"], user["groups"]) == ("ann", ["tokenlife:shop", "tokenlife:shop:read"])
    assert user["extra"]["tokenlife/id"] == [token.token.id]
    assert {type(value) for value in user["extra"].values()} == {list}


async def test_a_token_that_does_not_do_is_200_and_not_authenticated(world: World, http: Http) -> None:
    expired, revoked = await world.issue(), await world.issue()
    await world.expire_now(expired)
    await world.tokens.revoke(revoked.text)

    found = [await status_of(http, text) for text in (expired.text, revoked.text, FORGED, "", "ä")]

    assert [status["authenticated"] for status in found] == [False] * 5
    assert all(status.keys() == {"authenticated", "error"} and status["error"] for status in found)


async def test_a_review_never_renews(world: World, http: Http) -> None:
    token = await world.issue(life_ms=60_000)
    await world.shorten(token, 10_000)

    await status_of(http, token.text)

    assert ((await world.tokens.peek(token.text)).remaining_ms or 0) <= 10_000


async def test_audiences_are_those_of_the_asked_ones_that_the_token_is_for(world: World, http: Http) -> None:
    token = await world.issue(scopes=("https://a.example", "vault"))

    both = await status_of(http, token.text, "vault", "https://a.example", "other")
    none = await status_of(http, token.text, "other")
    unasked = await status_of(http, token.text)

    assert both["audiences"] == ["vault", "https://a.example"]
    assert (none["authenticated"], none.get("user")) == (False, None)
    assert (unasked["authenticated"], "audiences" in unasked) == (True, False)


async def test_nobody_becomes_a_user_of_kubernetes_itself(world: World, http: Http) -> None:
    token = await world.issue("system:admin", scopes=("system:masters",))
    other = await world.issue("ann", scopes=("system:masters",))

    assert (await status_of(http, token.text))["authenticated"] is False
    groups = (await status_of(http, other.text))["user"]["groups"]
    assert not [group for group in groups if group.startswith("system:")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"apiVersion": "authentication.k8s.io/v2"},
        {"kind": "SubjectAccessReview"},
        {"spec": None},
        {"spec": {"token": 1}},
        {"spec": {"token": "x", "audiences": "one"}},
    ],
)
async def test_what_is_no_review_is_400(http: Http, wrong: dict[str, Any]) -> None:
    code, answer = await review(http, as_asked("x") | wrong)

    assert (code, answer["code"]) == (400, "invalid_request")


async def test_the_caller_needs_a_token_with_the_grant(world: World, http: Http) -> None:
    token = await world.issue()
    without, other = await world.caller("tokens:read"), await world.caller("tokens:use", tenant="other")

    codes = [(await review(http, as_asked(token.text), caller))[0] for caller in (FORGED, without, other)]

    assert codes == [401, 403, 200]
    assert (await review(http, as_asked(token.text), other))[1]["status"]["authenticated"] is False


async def test_an_outage_is_503_and_never_unauthenticated(world: World, http: Http, store: Server) -> None:
    token = await world.issue()

    with outage(store):
        code, answer = await review(http, as_asked(token.text))

    assert code == 503
    assert "status" not in answer or answer["status"] == 503
    assert "authenticated" not in str(answer)
