"""Where keys live: on one server, or (`cluster.py`) on the node that has their slot."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from redis.asyncio import Redis
from redis.exceptions import MovedError, ReadOnlyError

from service.store.lane import Lane
from service.store.urls import wrong

T = TypeVar("T")
REST_S = 0.1  # between two looks that failures ask for
CLUSTERED = "a node of a cluster answers there; write redis+cluster:// instead of redis://"


def alone(error: Exception) -> bool:
    """Whether a master has too few replicas to take anything: they may have gone over to another."""
    return "NOREPLICAS" in str(error)


def watched(call: Coroutine[Any, Any, T], tasks: set[asyncio.Task[Any]]) -> asyncio.Task[T]:
    """Goes on whether or not anybody waits for it; among these until it is over."""
    task = asyncio.get_running_loop().create_task(call)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    task.add_done_callback(lambda task: task.cancelled() or task.exception())  # seen
    return task


class Node:
    """A server: its client, and the lane of the round trips that many share."""

    def __init__(self, redis: Redis, timeout_s: float) -> None:
        self.redis, self.lane = redis, Lane(redis, timeout_s)

    async def drop(self) -> None:
        """Its idle connections lead to what is no longer wanted."""
        self.lane.drop()
        await self.redis.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        await self.lane.close()
        await self.redis.aclose()


class Nodes(Protocol):
    """many: whether partitions live on several, so that one call may be about one partition only."""

    many: bool

    def of(self, key: str) -> Node | None:
        """Where a key lives; None where that is not known yet."""

    async def find(self, key: str) -> Node:
        """The same after a look.  Raises redis-py's errors, and `WrongStore`."""

    async def each(self) -> Sequence[Node]:
        """All that hold keys."""

    def moved(self, error: MovedError) -> Node:
        """The node that a redirection names."""

    async def failed(self, node: Node, error: Exception) -> None:
        """A call to this node failed, which may mean that something has changed its place."""

    async def close(self) -> None: ...


class One:
    """One server, or whichever of them Sentinel calls the master."""

    many = False

    def __init__(self, redis: Redis, timeout_s: float) -> None:
        self._node = Node(redis, timeout_s)

    def of(self, key: str) -> Node:  # noqa: ARG002
        return self._node

    async def find(self, key: str) -> Node:
        return self.of(key)

    async def each(self) -> Sequence[Node]:
        return [self._node]

    def moved(self, error: MovedError) -> Node:  # noqa: ARG002
        raise wrong(CLUSTERED)

    async def failed(self, node: Node, error: Exception) -> None:
        if isinstance(error, ReadOnlyError):
            # After a failover the old connections still lead to what is a replica now.
            await node.drop()

    async def close(self) -> None:
        await self._node.close()
