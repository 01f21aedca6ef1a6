"""From a URL to a link, after a look at what stands at its other end."""

import asyncio
import logging
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from service.core.errors import Unavailable
from service.core.watch import SILENT, Watch
from service.store import keys
from service.store.link import Link
from service.store.scripts import Scripts

OLDEST = (6, 2)
CONNECTIONS = 32  # more only wait for each other: the store runs one script at a time

log = logging.getLogger("service.store")


class WrongStore(Exception):
    """What answers is not a store that the service can run on; the message says why."""


def client(url: str, timeout_s: float) -> Redis:
    """redis-py with its defaults turned into those of a request path: see the comments."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,  # the default pool raises once it is full; this one makes the caller wait
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),  # ten by default: a frozen store held one call for 60 s
        # While they are on, the guard against data left on a connection is off.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return Redis(connection_pool=pool)


async def connect(
    redis: Redis, *, timeout_s: float, retention_ms: int, events_kept: int, watch: Watch = SILENT
) -> Link:
    """Raises `WrongStore`, or `Unavailable` when nothing answers."""
    try:
        version = await _version(redis)
        await _warn_of_eviction(redis)
    except (RedisError, OSError, TimeoutError) as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    scripts = Scripts(redis, retention_ms, events_kept, allow_oom=version is not None and version >= (7, 0))
    return Link(redis, scripts, timeout_s, watch)


async def agree_on_partitions(redis: Redis, wanted: int) -> None:
    """The number of partitions is fixed at first start: another one would look for every owner elsewhere."""
    await redis.set(keys.PARTITIONS, wanted, nx=True)
    fixed = int(await redis.get(keys.PARTITIONS) or 0)
    if fixed != wanted:
        raise WrongStore(
            f"TOKENLIFE_PARTITIONS is {wanted}, but the tokens in this store were written with {fixed};"
            f" set it to {fixed}, or start with an empty store."
        )


async def _version(redis: Redis) -> tuple[int, ...] | None:
    """None when the store does not tell (fakeredis has no INFO; some managed services restrict it)."""
    try:
        info: dict[str, Any] = await redis.info("server")
    except ResponseError:
        return None
    # Valkey answers INFO with the Redis version that it is compatible with: 7.2.4.
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < OLDEST:
        raise WrongStore(f"The store is Redis {info['redis_version']}; 6.2 or later is needed.")
    return version


async def _warn_of_eviction(redis: Redis) -> None:
    try:
        policy = (await redis.config_get("maxmemory-policy")).get("maxmemory-policy", "noeviction")
    except ResponseError:
        return
    if policy != "noeviction":
        log.warning(
            "the store may evict live tokens: maxmemory-policy is %s, set it to noeviction", policy,
            extra={"maxmemory_policy": policy},
        )  # fmt: skip


async def wait_until_it_answers(redis: Redis, patience_s: float) -> None:
    """For a store that is still starting or loading.  Raises `Unavailable` after `patience_s`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    while True:
        try:
            await redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            if loop.time() >= until:
                raise Unavailable(type(error).__name__) from error
            await asyncio.sleep(0.1)
        else:
            return
