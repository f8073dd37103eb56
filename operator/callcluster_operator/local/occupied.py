"""Makes planning go round ports that other programs of this machine hold.

To planning, whoever holds a server's ports is a neighbour: a pod of another CallCluster. So for a
server whose ports turn out to be taken such a pod is made, in a namespace where nothing runs, and planning
gives the server other ports, as it would on a cluster.
"""

from __future__ import annotations

from callcluster_operator.cluster import Cluster
from callcluster_operator.local.ports import PortBusyError
from callcluster_operator.objects import POD, Object
from callcluster_operator.planning import names

NAMESPACE = "0"
"""Sorts before all others: of two that claim a port, the one whose name is later gives way."""
FIELD_MANAGER = "callcluster-node"


async def note(cluster: Cluster, namespace: str) -> None:
    """Claim, in the name of other programs, the ports of each server's pod that can't have its own.

    Raises:
        ClusterError: worth another try.
    """
    for component in names.ON_THE_HOST:
        for pod in await cluster.list(POD, namespace=namespace, labels=names.every_pod(component)):
            if _is_blocked(pod):
                await cluster.apply(claim(pod), field_manager=FIELD_MANAGER)


def claim(pod: Object) -> Object:
    """A pod that holds the same ports."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod["metadata"]["name"],
            "namespace": NAMESPACE,
            "labels": {
                **names.every_pod(pod["metadata"]["labels"][names.COMPONENT_LABEL]),
                names.INSTANCE_LABEL: "another-program",
            },
        },
        "spec": {
            "containers": [
                {"name": each["name"], "ports": each["ports"], "env": each["env"]}
                for each in pod["spec"]["containers"]
            ]
        },
    }


def _is_blocked(pod: Object) -> bool:
    return any(
        report["state"].get("waiting", {}).get("reason") == PortBusyError.reason
        for report in pod.get("status", {}).get("containerStatuses", ())
    )
