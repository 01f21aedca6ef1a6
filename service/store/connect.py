"""From a URL to the nodes that it means, after a look at what stands there."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from service.core.errors import Unavailable
from service.store import keys, tls
from service.store.cluster import Cluster
from service.store.link import Link
from service.store.nodes import CLUSTERED, Nodes, One
from service.store.sentinel import Led
from service.store.urls import Address, WrongStore, read, wrong

__all__ = [
    "WrongStore", "agree_on_partitions", "allow_oom", "client", "explained", "look", "refused_for_good", "transient",
    "version",
]  # fmt: skip

OLDEST = (6, 2)
TRANSIENT = {
    "timeout", "TimeoutError", "ConnectionError", "BusyLoadingError", "ConnectionRefusedError", "MasterNotFoundError",
    "ClusterDownError",
}  # fmt: skip
DOUBTFUL = {"timeout", "TimeoutError", "ConnectionError", "InvalidResponse"}  # it may be TLS that is amiss
# What a store says that is there and will say the same the next time, and what those who start the service are told.
REFUSED = {
    "AuthenticationError": "the store does not take this user and password, or asks for some",
    "AuthenticationWrongNumberOfArgsError": "the store does not take this user and password",
    "NoPermissionError": "the store does not allow this user what the service asks of it (ACL)",
}
CONNECTIONS = 32  # to a node; more only wait for each other: it runs one script at a time

log = logging.getLogger("service.store")


def client(url: str, timeout_s: float) -> Nodes:
    """redis-py with its defaults turned into those of a request path: see the comments.  Raises `WrongStore`."""
    where = read(url)
    path: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),  # ten by default: a frozen store held one call for 60 s
        # While they are on, the guard against data left on a connection is off.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    # The default pool raises once it is full; this one makes the caller wait.
    pool = {"max_connections": CONNECTIONS, "timeout": timeout_s}

    def one(*address: Address) -> Redis:
        options = path | pool | where.options | (address[0]._asdict() if address else {})
        # A pool that is handed over otherwise stays open when the client closes.
        return Redis.from_pool(BlockingConnectionPool(**options))

    if where.kind == "cluster":
        return Cluster(where.seats, one, timeout_s)
    return Led(where, pool, path, timeout_s) if where.kind else One(one(), timeout_s)


@contextmanager
def refused_for_good() -> Iterator[None]:
    """Around what is first asked of a store.  Raises `WrongStore` where waiting would not help."""
    try:
        yield
    except Unavailable as error:
        if error.reason in REFUSED:
            raise wrong(REFUSED[error.reason]) from None
        raise


def transient(reason: str) -> bool:
    """Of an `Unavailable`: whether it says nothing about what the store is.  A certificate may be renewed."""
    return reason in TRANSIENT or reason.startswith(tls.WORD)


async def explained(error: Unavailable, url: str, timeout_s: float) -> Unavailable:
    """The same, with what TLS has to do with it if the client has not heard: a store of the other kind says nothing."""
    if error.reason not in DOUBTFUL:
        return error
    where = read(url)
    connection: Any = BlockingConnectionPool(**where.options).make_connection()  # type: ignore[no-untyped-call]
    here = [] if hasattr(connection, "path") else [Address(connection.host, connection.port)]
    looks = [tls.closer(connection, *seat, timeout_s) for seat in where.seats or here]
    reasons = [reason for reason in await asyncio.gather(*looks) if reason]
    return Unavailable(reasons[0], error.message) if reasons else error


async def look(link: Link, partitions: int) -> None:
    """What must be known before the first script runs.  Raises `WrongStore`, or `Unavailable` when nothing answers."""
    allowed = await allow_oom(link)
    await agree_on_partitions(link, partitions)
    link.scripts.say_allow_oom(allowed=allowed)


async def agree_on_partitions(link: Link, wanted: int) -> None:
    """The number of partitions is fixed at first start: another one would look for every owner elsewhere.

    Raises `WrongStore`, or `Unavailable` when nothing answers.
    """
    fixed = await _partitions(link)
    if not fixed:  # a full store refuses even to be told again what it holds
        await link.at(keys.PARTITIONS, lambda redis: redis.set(keys.PARTITIONS, wanted, nx=True))
        fixed = await _partitions(link)
    if fixed != wanted:
        raise WrongStore(
            f"TOKENLIFE_PARTITIONS is {wanted}, but the tokens in this store were written with {fixed};"
            f" set it to {fixed}, or start with an empty store."
        )


async def _partitions(link: Link) -> int:
    return int(await link.at(keys.PARTITIONS, lambda redis: redis.get(keys.PARTITIONS)) or 0)


async def allow_oom(link: Link) -> bool:
    """Looks at each node's kind, version and eviction policy; whether scripts may say that they run on a full store.

    Raises `WrongStore`, or `Unavailable` when nothing answers.
    """
    await link.within(link.nodes.find(keys.PARTITIONS))
    return all([await _allows_oom(link, node.redis) for node in await link.within(link.nodes.each())])


async def _allows_oom(link: Link, redis: Redis) -> bool:
    try:
        info = await link.within(redis.info("server"))
        config = await link.within(redis.config_get("maxmemory-policy"))
    except Unavailable as error:
        if transient(error.reason):
            raise
        return False  # it does not tell: fakeredis has no INFO, some managed services restrict CONFIG
    policy = config.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        log.warning(
            "the store may evict live tokens: maxmemory-policy is %s; set it to noeviction", policy,
            extra={"maxmemory_policy": policy},
        )  # fmt: skip
    # Valkey's word for it, then Redis'.
    if info.get("server_mode", info.get("redis_mode")) == "cluster" and not link.nodes.many:
        raise wrong(CLUSTERED)
    return version(info["redis_version"]) >= (7, 0)


def version(said: str) -> tuple[int, ...]:
    """Valkey answers with the Redis version that it is compatible with.  Raises `WrongStore`."""
    found = tuple(int(part) for part in str(said).split(".")[:2])
    if found < OLDEST:
        raise WrongStore(f"The store is Redis {said}; 6.2 or later is needed.")
    return found
