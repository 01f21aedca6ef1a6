"""The master that Sentinel names, behind one pool that follows it."""

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool, SentinelManagedConnection
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import TimeoutError as Late
from redis.utils import str_if_bytes

from service.store.nodes import REST_S, Node, One, alone, watched
from service.store.tls import Secure
from service.store.urls import Where, wrong

Masters = dict[str, dict[str, Any]]  # by name
Latest = tuple[int, tuple[str, int]]  # the epoch of a configuration, and the master in it
SPREAD_S = 4.0  # sentinels tell each other every 2 s what they know: after twice that, all have heard of a new master


class Sentinels(Sentinel):
    """Asked all at once: one after the other, the first that is silent takes all the time that a caller has."""

    def __init__(self, *words: Any, timeout_s: float, **options: Any) -> None:
        """timeout_s: what a caller has; a master that is found must still be connected to and asked."""
        super().__init__(*words, **options)  # type: ignore[no-untyped-call]
        self._until_s, self._rest_s = timeout_s / 2, timeout_s / 10
        self._asked: set[asyncio.Task[Any]] = set()
        self._latest: Latest = -1, ("", 0)
        self._spread = 0.0  # when it has been heard of by all

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """The latest that any of them names: one that was cut off from the rest, or has not heard of it yet, names the
        master that it last saw.  And the latest that any has named a moment ago: the one that did may be late now.

        Raises: MasterNotFoundError.
        """
        answers = await self.answers(service_name)
        known = [answer[service_name] for answer in answers if isinstance(answer, dict) and service_name in answer]
        found = [state for state in known if state["promoted"] or self.check_master_state(state, service_name)]
        if not found:
            errors = [answer for answer in answers if isinstance(answer, Exception)]
            raise MasterNotFoundError("no sentinel knows the master") from next(iter(errors), None)
        latest = max(found, key=lambda state: (int(state["config-epoch"]), state["promoted"]))
        return self._remembered((int(latest["config-epoch"]), (latest["ip"], latest["port"])))

    def _remembered(self, named: Latest) -> tuple[str, int]:
        """Not for good: sentinels that are set up anew count from 0."""
        now = asyncio.get_running_loop().time()
        if named[0] >= self._latest[0] or now > self._spread:
            self._latest, self._spread = named, now + SPREAD_S
        return self._latest[1]

    async def answers(self, name: str) -> list[Masters | Exception]:
        """Of each in time; once more than half have told, the others are given a moment.  name: of the master."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._until_s
        answers: list[Masters | Exception] = []
        # Nobody who is late is cancelled: see `Link.within`.
        waiting = {watched(_masters(one, name), self._asked) for one in self.sentinels}
        while waiting and (left := until - loop.time()) > 0:
            done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            answers += [one.result() for one in done]
            if sum(isinstance(answer, dict) for answer in answers) > len(self.sentinels) / 2:
                until = min(until, loop.time() + self._rest_s)
        return answers

    async def aclose(self) -> None:
        if self._asked:
            await asyncio.wait(self._asked)
        await super().aclose()


class LedConnection(SentinelManagedConnection):
    async def connect_to(self, address: Any) -> None:
        """To the master of the moment at which it is connected: one that was frozen answers when it thaws."""
        await super().connect_to(address)  # type: ignore[no-untyped-call]
        while (latest := self.connection_pool.master_address) != address:
            await self.disconnect()
            address = latest
            await super().connect_to(address)  # type: ignore[no-untyped-call]


class LedSecure(LedConnection, Secure):
    """The same over TLS."""


class LedPool(SentinelConnectionPool, BlockingConnectionPool):
    """Each new connection leads to the master of that moment; once it is full, it makes the caller wait."""

    def __init__(self, *words: Any, changed: Callable[[], None], **options: Any) -> None:
        """changed: is told when the master is another one."""
        super().__init__(*words, **options)  # type: ignore[no-untyped-call]
        self._changed = changed

    async def get_master_address(self) -> Any:
        """No connection that there is leads to the old one any more: thawed, it takes itself for the master for a
        while, and accepts what was revoked since."""
        before = self.master_address
        address = await super().get_master_address()  # type: ignore[no-untyped-call]
        if before not in (None, address):
            for connection in self._in_use_connections:  # the idle ones were disconnected
                connection.mark_for_reconnect()  # type: ignore[no-untyped-call]
            self._changed()
        return address


class Led(One):
    """path: how calls are bounded, for the master and for the sentinels alike."""

    def __init__(self, where: Where, pool: dict[str, Any], path: dict[str, Any], timeout_s: float) -> None:
        self._master, options = where.master, dict(where.options)
        secure = options.pop("connection_class", None) is not None
        trust = {name: value for name, value in options.items() if name.startswith("ssl_")} | {"ssl": secure}
        kwargs = {**where.sentinel, **path, **trust}
        self._sentinel = Sentinels(where.seats, sentinel_kwargs=kwargs, timeout_s=timeout_s)
        options["connection_class"] = LedSecure if secure else LedConnection
        if secure:
            for one in self._sentinel.sentinels:
                one.connection_pool.connection_class = Secure
        self._led = LedPool(where.master, self._sentinel, changed=self._drop_lane, **options, **path, **pool)
        self._looking: set[asyncio.Task[Any]] = set()
        self._looked = 0.0
        super().__init__(Redis.from_pool(self._led), timeout_s)

    def _drop_lane(self) -> None:
        self.of("").lane.drop()

    async def find(self, key: str) -> Node:
        """Raises `WrongStore` when the sentinels answer, and none of them knows the master."""
        answers = await self._sentinel.answers(self._master)
        known = [answer for answer in answers if not isinstance(answer, Exception)]
        if not known:
            errors = [answer for answer in answers if isinstance(answer, Exception)]
            if refused := [error for error in errors if isinstance(error, AuthenticationError)]:
                raise refused[0]
            raise Lost("no sentinel answers") from next(iter(errors), None)
        if not any(self._master in found for found in known):
            names = ", ".join(sorted({name for found in known for name in found})) or "no master at all"
            raise wrong(f"Sentinel knows no master named {self._master}; it knows {names}")
        return self.of(key)

    async def failed(self, node: Node, error: Exception) -> None:
        """Looks in the background whether there is another master, where this one's connections are sound."""
        await super().failed(node, error)
        now = asyncio.get_running_loop().time()
        if alone(error) and now - self._looked > REST_S:
            self._looked = now
            watched(self._led.get_master_address(), self._looking)

    async def close(self) -> None:
        if self._looking:
            await asyncio.wait(self._looking)
        await super().close()
        await self._sentinel.aclose()


async def _masters(sentinel: Any, name: str) -> Masters | Exception:
    """What it knows of each; of the named one the address that it tells its clients.

    The one that leads a failover lists the old address beside the new epoch until all replicas follow the new master,
    1 s or more, and once the old master has thawed, as that of a sound one.
    """
    try:
        async with sentinel.pipeline(transaction=False) as both:
            listed, told = await both.sentinel_masters().sentinel_get_master_addr_by_name(name).execute()
    except (Lost, Late, TimeoutError, OSError) as error:
        return error
    known: Masters = listed
    for state in known.values():
        state["promoted"] = False
    if told and name in known:
        ip, port = str_if_bytes(told[0]), told[1]
        known[name] |= {"ip": ip, "port": port, "promoted": (ip, port) != (known[name]["ip"], known[name]["port"])}
    return known
