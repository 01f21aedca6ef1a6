"""The embedded store: everything ends, and tokens, keys and the admin's token are still there."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api.calls import Caller, calling
from tests.chaos.family import embedded, kill
from tests.servers import Service, wait_until

pytestmark = pytest.mark.chaos

DOWN_S = 1.0


def asked(service: Service) -> None:
    assert service.stop() == 0


def killed(service: Service) -> None:
    """The whole group at once, the store included: what the store was told is with the kernel by then."""
    store = embedded(service)
    service.kill()
    kill(store)


@pytest.mark.parametrize("end", [asked, killed])
async def test_tokens_keys_and_the_admins_token_outlive_a_restart(
    tmp_path: Path, end: Callable[[Service], None]
) -> None:
    with Service(data_dir=tmp_path / "data") as service:
        admin_text = (tmp_path / "data" / "admin-token").read_text().strip()
        async with calling(service.url, admin_text) as admin:
            token = await admin.issue("ann", life_ms=600_000)
            short = await admin.issue("ann", life_ms=500)
            revoked = await admin.issue("ann")
            await admin.call("DELETE", f"/v1/tokens/{revoked['id']}")

            end(service)
            ended = time.monotonic()
            await wait_until(lambda: time.monotonic() > ended + DOWN_S)
            service.start()

            seen = await admin.peek(token["token"])
            used = await admin.use(token["token"])
            gone = [await admin.peek(one["token"]) for one in (short, revoked)]
            await wait_until(lambda: _told(admin, short["id"]))
            [expiry] = await admin.events(type="expired")

    assert (seen.status, used.status) == (200, 200)
    assert seen.json["remaining_ms"] < 600_000 - DOWN_S * 1_000
    assert seen.json["expires_at_ms"] == token["expires_at_ms"]
    assert used.json["remaining_ms"] == 600_000
    assert [answer.code for answer in gone] == ["expired", "revoked"]
    assert expiry["data"]["deadline_at_ms"] == short["expires_at_ms"]


async def _told(admin: Caller, id_: str) -> bool:
    return [event["subject"] for event in await admin.events(type="expired")] == [id_]
