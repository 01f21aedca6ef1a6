"""A start that cannot be right ends at once, with a sentence and a code of its own."""

import asyncio
import resource
from collections.abc import Iterator

import pytest
import redis

from tests.api.calls import ADMIN, KEYS, calling
from tests.servers import Server, Service, free_port, wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture
def store() -> Iterator[Server]:
    with Server() as running:
        yield running


async def ended(service: Service) -> tuple[int | None, str]:
    """The exit code of one that does not come up, and what it said."""
    try:
        service.launch()
        await wait_until(lambda: not service.running, timeout_s=20)
        return service.exit_code(), service.said()
    finally:
        service.close()


async def test_wrong_settings_are_code_2_and_all_told_at_once() -> None:
    code, said = await ended(Service(prot=1, workers="many", redis_url="redis://x"))

    assert code == 2
    assert "TOKENLIFE_PROT is not a setting; the nearest is TOKENLIFE_PORT." in said
    assert "TOKENLIFE_WORKERS is 'many'; expected is a whole number from 1 to 64." in said
    assert "TOKENLIFE_REDIS_URL needs TOKENLIFE_SIGNING_KEYS" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", ["serve", "sweep"])
async def test_so_is_a_wrong_url_in_a_sentence(verb: str) -> None:
    url = "redis+sentinel://:hunter2@one,two"

    code, said = await ended(Service(verb, redis_url=url, signing_keys="k" * 20))

    assert code == 2
    assert "TOKENLIFE_REDIS_URL: the name of the master is missing" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("workers", [1, 2])
async def test_other_partitions_than_the_stores_are_code_1_and_write_nothing(store: Server, workers: int) -> None:
    settings = {"redis_url": store.url, "signing_keys": KEYS, "admin_token": ADMIN, "workers": workers}
    with Service(**settings) as right:
        async with calling(right.url) as admin:
            before = await admin.issue("ann")

        code, said = await ended(Service(**settings, partitions=8))
        async with calling(right.url) as admin:
            counts = await admin.ok("GET", "/v1/tokens/count")
            used = await admin.use(before["token"])

    assert code == 1
    assert "TOKENLIFE_PARTITIONS is 8, but the tokens in this store were written with 16" in said
    assert "Traceback" not in said
    assert (used.status, counts["by_type"]["session"]) == (200, 1)


@pytest.mark.parametrize(
    ("login", "workers", "told"),
    [
        (":hunter2@", 1, "does not take this user and password"),
        (":hunter2@", 2, "does not take this user and password"),
        ("", 1, "does not take this user and password, or asks for some"),
        ("nobody:hunter2@", 1, "does not take this user and password"),
        ("reader:hunter3@", 1, "does not allow this user what the service asks of it (ACL)"),
    ],
)
async def test_who_the_store_does_not_let_in_does_not_wait_for_it(login: str, workers: int, told: str) -> None:
    """One that is merely away is waited for: it may be about to start."""
    with Server(requirepass="hunter1", tcp=True) as store:
        with redis.Redis(port=store.port, password="hunter1") as client:
            client.execute_command("ACL", "SETUSER", "reader", "on", ">hunter3", "+hello", "+info")
        url = f"redis://{login}127.0.0.1:{store.port}"
        code, said = await ended(Service(redis_url=url, signing_keys=KEYS, admin_token=ADMIN, workers=workers))

    assert code == 1
    assert f"TOKENLIFE_REDIS_URL: the store {told}" in said
    assert "hunter" not in said
    assert "Traceback" not in said


async def test_one_that_comes_later_and_does_not_let_it_in_ends_it_too() -> None:
    store = Server(requirepass="hunter1", tcp=True)
    service = Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN)
    try:
        service.launch()
        await wait_until(lambda: "waiting for the store" in service.said(), timeout_s=20)
        with store:
            await wait_until(lambda: not service.running, timeout_s=20)
        code, said = service.exit_code(), service.said()
    finally:
        service.close()

    assert code == 1
    assert "the store does not take this user and password" in said


async def test_a_store_that_may_evict_tokens_is_warned_of() -> None:
    with (
        Server(maxmemory="100mb", maxmemory_policy="volatile-lru") as store,
        Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN) as service,
    ):
        said = service.said()

    assert "the store may evict live tokens: maxmemory-policy is volatile-lru; set it to noeviction" in said


async def test_a_port_that_is_taken_is_code_1(store: Server) -> None:
    """Sharing it, as the workers do among themselves, would give half of the requests to somebody else."""
    settings = {"redis_url": store.url, "signing_keys": KEYS, "admin_token": ADMIN}
    with Service(**settings) as first:
        code, said = await ended(Service(**settings, port=first.port))
        status = await asyncio.to_thread(first.status, "/livez")

    assert code == 1
    assert f"cannot listen on 127.0.0.1:{first.port}" in said
    assert status == 200


async def test_probes_and_metrics_may_have_a_port_of_their_own(store: Server) -> None:
    ops = free_port()
    with Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN, ops_port=ops) as service:
        async with calling(service.url) as admin, calling(f"http://127.0.0.1:{ops}") as probe:
            inside = [(await admin.get(path)).status for path in ("/readyz", "/metrics", "/v1/self")]
            apart = [(await probe.get(path)).status for path in ("/readyz", "/metrics", "/v1/self")]

    assert inside == [404, 404, 200]
    assert apart == [200, 200, 404]


async def test_it_takes_as_many_open_files_as_it_may_have(store: Server) -> None:
    """Each connection is one; a shell often allows 1,024 until somebody asks."""
    service = Service(redis_url=store.url, signing_keys=KEYS, admin_token=ADMIN)
    service.command = ["/bin/sh", "-c", 'ulimit -Sn 200; exec "$0" "$@"', *service.command]
    with service:
        allowed, most = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)

    assert allowed == (65_536 if most == resource.RLIM_INFINITY else min(most, 65_536))
