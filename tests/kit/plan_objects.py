"""Objects of the small world of :mod:`kit.plan_executor`."""

from __future__ import annotations

from typing import Any

from callcluster_operator.objects import API_VERSION, CALL_CLUSTER, Object, Ref

NAMESPACE = "calls"


def host_ports(pod: Object) -> set[tuple[int, str]]:
    """What the scheduler compares."""
    return {
        (port["hostPort"], port["protocol"])
        for container in pod["spec"]["containers"]
        for port in container.get("ports", ())
        if "hostPort" in port
    }


def cc_ref(name: str) -> Ref:
    """Reference to a CallCluster."""
    return Ref(CALL_CLUSTER, NAMESPACE, name)


def callcluster(name: str = "cc", **spec: Any) -> Object:
    """A CallCluster with a spec that needs nothing else."""
    return {
        "apiVersion": API_VERSION,
        "kind": "CallCluster",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"domain": "calls.example.org", **spec},
    }


def room(name: str, cluster: str = "cc", **spec: Any) -> Object:
    """A Room."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Room",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"clusterRef": {"name": cluster}, **spec},
    }


def node_object(name: str, internal: str, external: str | None = None) -> Object:
    """A node with its addresses."""
    addresses = [{"type": "InternalIP", "address": internal}]
    if external:
        addresses.append({"type": "ExternalIP", "address": external})
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"addresses": addresses},
    }
