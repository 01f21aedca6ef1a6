"""From a URL to a link, after a look at what stands at its other end."""

import logging

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from service.core.errors import Unavailable
from service.store import keys
from service.store.link import Link

OLDEST = (6, 2)
TRANSIENT = {"timeout", "TimeoutError", "ConnectionError", "BusyLoadingError", "ConnectionRefusedError"}
CONNECTIONS = 32  # more only wait for each other: the store runs one script at a time

log = logging.getLogger("service.store")


class WrongStore(Exception):
    """What answers is not a store that the service can run on; the message says why."""


def client(url: str, timeout_s: float) -> Redis:
    """redis-py with its defaults turned into those of a request path: see the comments."""
    scheme = url.partition(":")[0]
    if "+" in scheme:
        raise WrongStore(f"TOKENLIFE_REDIS_URL: {scheme}:// is not served yet; give the URL of one Redis or Valkey.")
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
    return Redis.from_pool(pool)  # a pool that is handed over otherwise stays open when the client closes


async def agree_on_partitions(link: Link, wanted: int) -> None:
    """The number of partitions is fixed at first start: another one would look for every owner elsewhere.

    Raises `WrongStore`, or `Unavailable` when nothing answers.
    """
    fixed = await _partitions(link)
    if not fixed:  # a full store refuses even to be told again what it holds
        await link.within(link.redis.set(keys.PARTITIONS, wanted, nx=True))
        fixed = await _partitions(link)
    if fixed != wanted:
        raise WrongStore(
            f"TOKENLIFE_PARTITIONS is {wanted}, but the tokens in this store were written with {fixed};"
            f" set it to {fixed}, or start with an empty store."
        )


async def _partitions(link: Link) -> int:
    return int(await link.within(link.redis.get(keys.PARTITIONS)) or 0)


async def allow_oom(link: Link) -> bool:
    """Looks at the store's version and eviction policy; whether scripts may say that they run on a full store."""
    try:
        info = await link.within(link.redis.info("server"))
        config = await link.within(link.redis.config_get("maxmemory-policy"))
    except Unavailable as error:
        if error.reason in TRANSIENT:
            raise
        return False  # it does not tell: fakeredis has no INFO, some managed services restrict CONFIG
    policy = config.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        log.warning(
            "the store may evict live tokens: maxmemory-policy is %s; set it to noeviction", policy,
            extra={"maxmemory_policy": policy},
        )  # fmt: skip
    return version(info["redis_version"]) >= (7, 0)


def version(said: str) -> tuple[int, ...]:
    """Valkey answers with the Redis version that it is compatible with.  Raises `WrongStore`."""
    found = tuple(int(part) for part in str(said).split(".")[:2])
    if found < OLDEST:
        raise WrongStore(f"The store is Redis {said}; 6.2 or later is needed.")
    return found
