"""Who may do what: service accounts, network policies, disruption budgets."""

from __future__ import annotations

from typing import Any

from callcluster_common.control import DEFAULT_PORT

from callcluster_operator.objects import (
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    SERVICE_ACCOUNT,
    Object,
)
from callcluster_operator.planning import names
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests import redis, signaling
from callcluster_operator.planning.manifests.common import manifest

_ANY_POD: list[dict[str, Any]] = [{"namespaceSelector": {}}]
_DNS = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}


def service_account_manifest(
    installation: Installation, component: str, annotations: dict[str, str] | None = None
) -> Object:
    """An identity without any right: none of our pods asks the API server for anything."""
    return manifest(
        installation,
        SERVICE_ACCOUNT,
        names.workload(installation.name, component),
        component,
        annotations=annotations,
        automountServiceAccountToken=False,
    )


def signaling_network_policy(installation: Installation, *, has_redis: bool) -> Object:
    """Everybody reaches the WebSocket port, pods of this cluster the control port.

    With a Redis of ours the pods reach nothing but it and DNS; where yours is, we can't know.
    """
    spec: dict[str, Any] = {
        "ingress": [
            {"ports": [{"port": signaling.PORT, "protocol": "TCP"}]},
            {"from": _ANY_POD, "ports": [{"port": DEFAULT_PORT, "protocol": "TCP"}]},
        ],
        "policyTypes": ["Ingress"],
    }
    if has_redis:
        spec["policyTypes"] = ["Ingress", "Egress"]
        spec["egress"] = [
            _DNS,
            {
                "to": [_pods(installation, names.REDIS)],
                "ports": [{"port": redis.PORT, "protocol": "TCP"}],
            },
        ]
    return _network_policy(installation, names.SIGNALING, spec)


def redis_network_policy(installation: Installation, *, has_sfu: bool) -> Object:
    """Only signaling reaches Redis, and Redis reaches nobody.

    SFUs are on the host network, and nothing names a node in a way that every network plugin agrees on:
    Cilium matches no node by its address, and through the tunnels of Calico or flannel an SFU comes from
    one that the node's object does not list. With SFUs, the password alone keeps others out.
    """
    ingress: dict[str, Any] = {"ports": [{"port": redis.PORT, "protocol": "TCP"}]}
    if not has_sfu:
        ingress["from"] = [_pods(installation, names.SIGNALING)]
    spec = {
        "ingress": [ingress],
        "policyTypes": ["Ingress", "Egress"],
    }
    return _network_policy(installation, names.REDIS, spec)


def disruption_budget_manifest(installation: Installation, component: str, limit: dict[str, int]) -> Object:
    """How many pods of a component a node drain may take at a time."""
    selected = names.component_selector(installation.name, component)
    return manifest(
        installation,
        POD_DISRUPTION_BUDGET,
        names.workload(installation.name, component),
        component,
        spec={"selector": {"matchLabels": selected}, **limit},
    )


def _network_policy(installation: Installation, component: str, spec: dict[str, Any]) -> Object:
    return manifest(
        installation,
        NETWORK_POLICY,
        names.workload(installation.name, component),
        component,
        spec={**_pods(installation, component), **spec},
    )


def _pods(installation: Installation, component: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": names.component_selector(installation.name, component)}}
