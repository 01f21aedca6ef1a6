"""Servers that belong together, two services and their clients, in a network that can be cut in two.

Everything that one process says to another goes through a door of the network.  The service `old` goes with the master
to its side of the cut, `new` stays with those who elect another; the clients of both present the same tokens.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import redis
from redis.crc import key_slot

from service.core.admin import OWNER
from service.core.callers import OPERATORS
from service.core.text import partition_of
from service.store import keys
from tests.chaos.checker import Rules
from tests.chaos.clock import Sampler
from tests.chaos.history import Operation
from tests.chaos.network import Network
from tests.chaos.scenario import GIVEN, Run, judged
from tests.chaos.traffic import NAMES, Traffic, enough
from tests.groups import MASTER, Cluster, Trio, ask, node_id, wait_for
from tests.servers import Child, Server, Service, wait_until

PARTITIONS = 16
LAG_S = 1  # min-replicas-max-lag
# Redis counts whole seconds, and looks once a second: after so long at most the old master takes nothing more.
NOTICED_S = LAG_S + 2
PATIENCE_MS = 1000 * (NOTICED_S + 1)  # before a master has failed: another is elected later than the old one gave up
SAFE = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", str(LAG_S))
JUST_S = 1.0  # what was acknowledged so long before a cut may not have reached a replica
LATE_S = 4.0  # a request may ask more than once, and who is cut off in silence is waited for each time
SETTLED_S = 60.0
WAITED = ("revoke", "revoke_owner", "rotate")
MIX = {
    "issue": 12, "issue_short": 6, "issue_counted": 2, "use": 30, "peek": 8, "renew": 6, "rotate": 4, "revoke": 12,
    "revoke_owner": 3, "ended": 20,
}  # fmt: skip
USERS = 8  # of each service
Kind = Literal["cluster", "sentinel"]
Side = Literal["old", "new"]
SIDES: tuple[Side, ...] = ("old", "new")


def _slot(partition: int) -> int:
    return key_slot(keys.due(partition).encode())


STAFF = _slot(partition_of(OPERATORS, OWNER, PARTITIONS))  # where the admin token is, which is asked about in each call


class DividedCluster(Cluster):
    """Three masters; the one that has what services need for each call has two replicas, so that its successor has one
    at once, the others have one each."""

    old: Server

    def __init__(self, network: Network, safe: tuple[str, ...]) -> None:
        super().__init__(masters=3, replicas=1, patience_ms=PATIENCE_MS)
        self._network, self._safe = network, safe

    def add(self, server: Server) -> Server:
        server.announced = self._network.door(server, server.port)
        self.buses[-1] = self._network.door(server, self.buses[-1])
        server.command += [
            "--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", str(server.announced),
            "--cluster-announce-bus-port", str(self.buses[-1]),
            "--bind-source-addr", self._network.address(server), *self._safe,
        ]  # fmt: skip
        return super().add(server)

    def form(self) -> None:
        super().form()
        self.old = self.master_of(STAFF)
        second = self.join()
        wait_for(lambda: all(self.knows_all(one) for one in self.servers))
        ask(second, "CLUSTER", "REPLICATE", node_id(self.old))
        wait_for(lambda: ask(self.old, "WAIT", 2, 1_000) == 2)

    def with_the_old(self) -> list[Child]:
        return [self.old]

    def owners(self) -> list[str]:
        """Of tokens that the old master has."""
        mine = {place for place in range(PARTITIONS) if self.master_of(_slot(place)) is self.old}
        return [name for name in NAMES if partition_of("default", name, PARTITIONS) in mine]


class DividedTrio(Trio):
    """A master and two replicas, with a sentinel beside each."""

    def __init__(self, network: Network, safe: tuple[str, ...]) -> None:
        super().__init__(replicas=2, patience_ms=PATIENCE_MS)
        self._network, self._safe = network, safe

    @property
    def old(self) -> Server:
        return self.servers[0]

    def add(self, server: Server) -> Server:
        server.announced = self._network.door(server, server.port)
        server.command += ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port", str(server.announced)]
        server.command += ["--bind-source-addr", self._network.address(server), *self._safe]
        return super().add(server)

    def sentinel(self, master: Server) -> Server:
        one = super().sentinel(master)
        one.announced = self._network.door(one, one.port)
        with (one.room / "sentinel.conf").open("a") as file:
            file.write(f"sentinel announce-ip 127.0.0.1\nsentinel announce-port {one.announced}\n")
            file.write(f"bind-source-addr {self._network.address(one)}\n")
            # Two that stand for election at once try again after twice this.
            file.write(f"sentinel failover-timeout {MASTER} 3000\n")
        return one

    def with_the_old(self) -> list[Child]:
        return [self.old, self.sentinels[0]]

    def owners(self) -> list[str]:
        return NAMES

    def plain(self) -> "redis.Redis":
        return redis.Redis(port=self.master().port)


GROUPS: dict[Kind, type[DividedCluster | DividedTrio]] = {"cluster": DividedCluster, "sentinel": DividedTrio}


class Divided(Run):
    group: DividedCluster | DividedTrio
    services: dict[Side, Service]
    sides: dict[Side, Traffic]
    network: Network
    cut: float
    joined: float

    def plain(self) -> AbstractContextManager[Any]:
        return self.group.plain()

    async def quiet(self) -> None:
        for traffic in self.sides.values():
            await traffic.stop()

    def stop(self) -> None:
        for service in self.services.values():
            assert service.stop() == 0

    def leave(self) -> None:
        self.said = "".join(one.said() for one in self.network.members)
        for service in self.services.values():
            service.close()

    @contextmanager
    def split(self, *, silent: bool) -> Iterator[None]:
        old: list[Child] = [self.services["old"], *self.group.with_the_old()]
        self.cut = self.mark("cut in two")
        with self.network.split(old, silent=silent):
            yield
        self.joined = self.mark("whole again")

    async def serves(self, *sides: Side, least: int = 3, timeout_s: float = SETTLED_S) -> float:
        """Until each verb has succeeded so often there, from now on.  Gives the seconds that it took."""
        since, wanted = time.monotonic(), enough(least)
        await wait_until(lambda: all(wanted(self.sides[side].done(since)) for side in sides), timeout_s)
        return time.monotonic() - since

    async def asks_again(self, least: int) -> None:
        """Until clients of the old side have so often presented what was revoked on the new side since the cut."""
        since = time.monotonic()
        await wait_until(lambda: sum(one.began > since for one in self.again()) >= least, SETTLED_S)

    def again(self) -> list[Operation]:
        revoked = {
            one.subject: one.ended
            for one in self.history.operations
            if one.via == "new" and one.verb == "revoke" and one.outcome == "done" and one.began > self.cut
        }
        return [one for one in self.via("old") if revoked.get(one.subject, one.began) < one.began]

    def via(self, side: Side) -> list[Operation]:
        return [one for one in self.history.operations if one.via == side]


@asynccontextmanager
async def divided(
    fault: str, kind: Kind, room: Path, seed: int, safe: tuple[str, ...] = SAFE
) -> AsyncIterator[Divided]:
    run = Divided(room, Rules(limit_s=LATE_S))
    async with judged(fault, run, _set_up(run, kind, random.Random(seed), safe)):
        yield run


@asynccontextmanager
async def _set_up(run: Divided, kind: Kind, dice: random.Random, safe: tuple[str, ...]) -> AsyncIterator[None]:
    """Clients at work on both sides."""
    async with AsyncExitStack() as stack:
        run.network = await stack.enter_async_context(Network())
        run.group = GROUPS[kind](run.network, safe)
        stack.callback(run.group.__exit__)
        await asyncio.to_thread(run.group.__enter__)
        run.services = {side: Service(**GIVEN, redis_url=run.group.url, revoke_wait=1) for side in SIDES}
        stack.callback(run.leave)
        for service in run.services.values():
            run.network.add(service)
        await asyncio.gather(*[asyncio.to_thread(service.start) for service in run.services.values()])
        run.clock = Sampler(run.group.old.url, run.history)
        stack.push_async_callback(run.clock.stop)
        owners = await asyncio.to_thread(run.group.owners)
        run.sides = {
            side: Traffic(service.url, run.history, dice, MIX, USERS, owners=owners, via=side)
            for side, service in run.services.items()
        }
        run.sides["new"].live, run.sides["new"].ended = run.sides["old"].live, run.sides["old"].ended
        yield
