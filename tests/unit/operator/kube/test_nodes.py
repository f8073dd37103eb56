"""When the nodes are read again."""

from __future__ import annotations

from typing import Any

import pytest
from callcluster_operator.kube.nodes import Nodes
from callcluster_operator.local.store import Store
from callcluster_operator.objects import NODE, Object, Ref
from callcluster_operator.planning import names


class Counting(Store):
    """Counts how often nodes are listed."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def list(self, *args: Any, **kwargs: Any) -> list[Object]:
        self.reads += 1
        return await super().list(*args, **kwargs)


class World:
    """One node, and a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.store = Counting()
        self.nodes = Nodes(self.store, lambda: self.now)

    async def add(self, name: str) -> None:
        await self.store.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})


def turn_pod(node: str | None, component: str = names.TURN, **annotations: str) -> Object:
    return {
        "metadata": {"labels": {names.COMPONENT_LABEL: component}, "annotations": annotations},
        "spec": {"nodeName": node} if node else {},
    }


PLACED = turn_pod("n1", **{names.EXTERNAL_ADDRESS: "none"})


async def test_passes_within_a_minute_share_one_read() -> None:
    world = World()
    await world.add("n1")
    for _ in range(6):
        assert [node["metadata"]["name"] for node in await world.nodes.around([PLACED])] == ["n1"]
        world.now += 9.9
    assert world.store.reads == 1
    world.now += 1
    await world.nodes.around([PLACED])
    assert world.store.reads == 2


@pytest.mark.parametrize("component", names.ON_THE_HOST)
async def test_a_server_on_an_unknown_node_is_reason_to_look_at_once(component: str) -> None:
    world = World()
    await world.nodes.around([turn_pod(None, component)])
    await world.add("n1")
    found = await world.nodes.around([turn_pod("n1", component)])
    assert [node["metadata"]["name"] for node in found] == ["n1"]


async def test_deleted_nodes_that_servers_still_name_are_not_looked_for_in_each_pass() -> None:
    world = World()
    await world.add("n1")
    for _ in range(5):
        # Those of two CallClusters: each asks for its own.
        await world.nodes.around([PLACED, turn_pod("gone")])
        await world.nodes.around([turn_pod("lost")])
        assert world.store.reads == 2, "one look for each name"
        world.now += 1
    await world.add("gone")
    found = await world.nodes.around([turn_pod("gone")])
    assert [node["metadata"]["name"] for node in found] == ["gone", "n1"]
    assert world.store.reads == 3


async def test_the_address_that_a_server_waits_for_is_soon_seen() -> None:
    world = World()
    await world.add("n1")
    await world.nodes.around([turn_pod("n1")])
    address = {"type": "ExternalIP", "address": "203.0.113.7"}
    await world.store.write_status(Ref(NODE, "", "n1"), {"addresses": [address], "images": ["many"]})
    world.now += 5
    (node,) = await world.nodes.around([turn_pod("n1")])
    assert node["status"] == {"addresses": [address]}


async def test_a_clock_that_is_set_back_does_not_keep_old_nodes() -> None:
    world = World()
    await world.nodes.around([])
    world.now -= 3600
    await world.nodes.around([])
    assert world.store.reads == 2
