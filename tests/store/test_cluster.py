"""A node of a cluster that is silent keeps nobody from the others."""

from service.store import keys
from service.store.connect import client
from service.store.link import Link
from service.store.scripts import Scripts
from tests.groups import Cluster

TIMEOUT_S = 1.0


async def test_a_service_that_starts_finds_its_way_past_a_silent_node() -> None:
    with Cluster(replicas=1) as cluster:
        silent = cluster.servers[-1]  # a replica, as one that was a master before it fell silent
        link = Link(client(f"{cluster.url},127.0.0.1:{silent.port}", TIMEOUT_S), Scripts(0, 0, many=True), TIMEOUT_S)
        silent.pause()

        found = await link.within(link.nodes.find(keys.PARTITIONS))
        pinged = await link.within(found.lane.call("PING"))
        silent.resume()
        await link.close()

    assert pinged == b"PONG"
