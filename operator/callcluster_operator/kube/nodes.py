"""The cluster's nodes, read again only where that may matter: there may be thousands, and few change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from callcluster_operator.cluster import Cluster
from callcluster_operator.objects import NODE, Object
from callcluster_operator.planning import names

MAX_AGE_SECONDS = 60.0
"""How late a changed address, a new node or a cordon may be noticed."""
WAITING_AGE_SECONDS = 5.0
"""The same while a TURN server waits for its node's address."""


class Nodes:
    """What planning looks at of each node. One per process.

    Args:
        cluster: where the nodes are.
        clock: seconds.
    """

    def __init__(self, cluster: Cluster, clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._clock = clock
        self._lock = asyncio.Lock()
        self._nodes: tuple[Object, ...] = ()
        self._read_at = float("-inf")
        self._missed: dict[str, float] = {}

    async def around(self, pods: Iterable[Object]) -> tuple[Object, ...]:
        """All nodes, as new as the pods need them.

        Raises:
            ClusterError: they can't be read.
        """
        waiting = {pod["spec"]["nodeName"] for pod in pods if _waits_for_its_node(pod)}
        async with self._lock:
            most = WAITING_AGE_SECONDS if waiting else MAX_AGE_SECONDS
            is_new = not self._missed.keys() >= self._unknown(waiting)
            if is_new or not 0 <= self._clock() - self._read_at < most:
                self._nodes = tuple(map(_pruned, await self._cluster.list(NODE)))
                self._read_at = self._clock()
            self._note_missed(waiting)
            return self._nodes

    def _unknown(self, wanted: set[str]) -> set[str]:
        return wanted - {node["metadata"]["name"] for node in self._nodes}

    def _note_missed(self, wanted: set[str]) -> None:
        """Keep the names that the last read lacks: a pod may go on naming a deleted node for minutes."""
        now = self._clock()
        self._missed.update(dict.fromkeys(self._unknown(wanted), now))
        lacking = self._unknown(set(self._missed))
        self._missed = {
            name: at for name, at in self._missed.items() if name in lacking and now - at < MAX_AGE_SECONDS
        }


def _waits_for_its_node(pod: Object) -> bool:
    meta = pod["metadata"]
    return (
        meta.get("labels", {}).get(names.COMPONENT_LABEL) in names.ON_THE_HOST
        and "nodeName" in pod["spec"]
        and names.EXTERNAL_ADDRESS not in meta.get("annotations", {})
    )


def _pruned(node: Object) -> Object:
    """Without what fills most of a node, such as the list of its images."""
    meta, spec = node["metadata"], node.get("spec", {})
    return {
        "metadata": {"name": meta["name"], "annotations": meta.get("annotations", {})},
        "spec": {key: spec[key] for key in ("unschedulable", "taints") if key in spec},
        "status": {"addresses": node.get("status", {}).get("addresses", [])},
    }
