"""Looks at CallClusters, Rooms and their children through a cluster port, as a user would."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from callcluster_operator.cluster import Cluster, ConflictError
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.kube.gather import children_of
from callcluster_operator.objects import CALL_CLUSTER, ROOM, Object, Ref

_VOLATILE = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "annotations")


class Eyes:
    """What stands in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    async def callcluster(self, name: str = "demo") -> Object:
        """A CallCluster that exists."""
        return await self.object(Ref(CALL_CLUSTER, self._namespace, name))

    async def room(self, name: str) -> Object | None:
        return await self._cluster.get(Ref(ROOM, self._namespace, name))

    async def object(self, ref: Ref) -> Object:
        """An object that exists."""
        found = await self._cluster.get(ref)
        assert found is not None, f"{ref} does not exist"
        return found

    async def children(self, name: str = "demo") -> dict[Ref, Object]:
        """All that carries a CallCluster's labels."""
        return await children_of(self._cluster, Ref(CALL_CLUSTER, self._namespace, name))

    async def is_ready(self, name: str = "demo") -> bool:
        """Whether the CallCluster says that it is as its spec wants it."""
        found = await self._cluster.get(Ref(CALL_CLUSTER, self._namespace, name))
        status = (found or {}).get("status", {})
        return (
            condition(status, "Ready").get("status") == "True"
            and condition(status, "Progressing").get("status") == "False"
        )


async def edit(cluster: KubeCluster, ref: Ref, change: Callable[[Object], object]) -> None:
    """Change an object that exists by hand, however often somebody else writes it meanwhile."""
    while True:
        found = await cluster.get(ref)
        assert found is not None, f"{ref} does not exist"
        change(found)
        try:
            await cluster.replace(found)
        except ConflictError:
            continue
        return


def condition(status: Mapping[str, Any], kind: str) -> dict[str, str]:
    """One condition; empty where there is none."""
    return next((dict(each) for each in status.get("conditions", ()) if each["type"] == kind), {})


def essence(children: Mapping[Ref, Object]) -> dict[str, Object]:
    """What two installations of the same spec have in common: no uids, times, addresses, keys or status."""
    return {str(ref): _plain(child) for ref, child in children.items() if not _of_deployment(child)}


def _of_deployment(child: Object) -> bool:
    return any(owner["kind"] == "Deployment" for owner in child["metadata"].get("ownerReferences", ()))


def _plain(child: Object) -> Object:
    plain = copy.deepcopy(child)
    plain.pop("status", None)
    plain.pop("data", None)
    for name in _VOLATILE:
        plain["metadata"].pop(name, None)
    for owner in plain["metadata"].get("ownerReferences", ()):
        owner.pop("uid")
    spec = plain.get("spec", {})
    for name in ("clusterIP", "clusterIPs", "nodeName"):
        spec.pop(name, None)
    return plain
