"""Signing keys rotate and nobody is logged out; a key that was removed refuses its tokens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.api.calls import ADMIN, Caller, calling
from tests.servers import Server, Service

OLD, NEW = "the-old-signing-key-of-the-tests", "the-new-signing-key-of-the-tests"


@asynccontextmanager
async def signing(store: Server, *keys: str) -> AsyncIterator[Caller]:
    """A service that signs with the first of these keys."""
    with Service(redis_url=store.url, signing_keys=",".join(keys), admin_token=ADMIN) as service:
        async with calling(service.url) as admin:
            yield admin


async def test_keys_rotate_and_nobody_is_logged_out() -> None:
    with Server() as store:
        async with signing(store, OLD) as admin:
            before = await admin.issue("ann", recoverable=True)
        async with signing(store, NEW, OLD) as admin:
            kept = await admin.use(before["token"])
            after = await admin.issue("ann", recoverable=True)
            listed = await admin.ok("GET", "/v1/tokens", owner="ann")
        async with signing(store, NEW) as admin:
            refused, new = await admin.use(before["token"]), await admin.use(after["token"])
            by_handle = await admin.look(before["id"])
            still = await admin.ok("GET", "/v1/tokens", owner="ann")

    assert kept.status == 200
    assert [item["token"] for item in listed["items"]] == [after["token"], before["token"]]
    assert (refused.status, refused.code, new.status) == (401, "unknown", 200)
    assert by_handle["state"] == "active"
    assert [item.get("token") for item in still["items"]] == [after["token"], None]


async def test_a_rotated_text_is_signed_with_the_newest_key() -> None:
    with Server() as store:
        async with signing(store, OLD) as admin:
            before = await admin.issue()
        async with signing(store, NEW, OLD) as admin:
            successor = (await admin.post("/v1/tokens/rotate", {"token": before["token"]})).json
        async with signing(store, NEW) as admin:
            old, new = await admin.use(before["token"]), await admin.use(successor["token"])

    assert (old.status, new.status) == (401, 200)


async def test_an_answer_that_was_sealed_under_a_removed_key_is_a_conflict_and_no_fault() -> None:
    key = {"Idempotency-Key": "k-1"}
    with Server() as store:
        async with signing(store, OLD) as admin:
            first = await admin.post("/v1/tokens", {"owner": "ann"}, key)
        async with signing(store, NEW, OLD) as admin:
            again = await admin.post("/v1/tokens", {"owner": "ann"}, key)
        async with signing(store, NEW) as admin:
            lost = await admin.post("/v1/tokens", {"owner": "ann"}, key)

    assert again.json == first.json
    assert (lost.status, lost.code) == (409, "idempotency_key_lost")


async def test_cursors_outlive_a_rotation_but_not_a_removal() -> None:
    with Server() as store:
        async with signing(store, OLD) as admin:
            for _ in range(3):
                await admin.issue("ann")
            page = await admin.ok("GET", "/v1/tokens", owner="ann", limit=1)
        async with signing(store, NEW, OLD) as admin:
            kept = await admin.get("/v1/tokens", owner="ann", cursor=page["next"])
        async with signing(store, NEW) as admin:
            lost = await admin.get("/v1/tokens", owner="ann", cursor=page["next"])

    assert (kept.status, lost.status, lost.field) == (200, 400, "cursor")
