"""The rights that the operator needs, and no more."""

from __future__ import annotations

from typing import Any

from kit.apiserver import ApiServer

Rule = dict[str, Any]

_OURS = ["callcluster.dev"]
_WRITE = ["get", "list", "watch", "create", "patch", "delete"]

NAMESPACED: list[Rule] = [
    {
        "apiGroups": ["callcluster.dev"],
        "resources": ["callclusters"],
        "verbs": ["get", "list", "watch", "patch"],
    },
    # Some clusters ask for this before an object may block its owner's deletion.
    {"apiGroups": _OURS, "resources": ["callclusters/finalizers"], "verbs": ["update"]},
    {"apiGroups": _OURS, "resources": ["rooms"], "verbs": ["get", "list", "watch", "delete"]},
    {
        "apiGroups": ["callcluster.dev"],
        "resources": ["callclusters/status", "rooms/status"],
        "verbs": ["patch"],
    },
    {
        "apiGroups": [""],
        "resources": ["configmaps", "pods", "secrets", "serviceaccounts", "services"],
        "verbs": _WRITE,
    },
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": _WRITE},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": _WRITE},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": _WRITE},
]
"""In each namespace whose CallClusters it looks after, or in a ClusterRole for all."""

CLUSTER_WIDE: list[Rule] = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
"""Nodes belong to no namespace; their addresses are those of the TURN servers."""

WATCHING_DEFINITIONS: list[Rule] = [
    {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "verbs": ["get", "list", "watch"],
    }
]
"""Only where it looks after all namespaces."""

LEASE: list[Rule] = [
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
]
"""In its own namespace."""


def grant(apiserver: ApiServer, name: str, rules: list[Rule], namespace: str | None = None) -> str:
    """Give the user ``operator`` a Role in a namespace, or a ClusterRole; returns the binding's path."""
    api = "/apis/rbac.authorization.k8s.io/v1" + (f"/namespaces/{namespace}" if namespace else "")
    kind = "Role" if namespace else "ClusterRole"
    apiserver.request("POST", f"{api}/{kind.lower()}s", {"metadata": {"name": name}, "rules": rules})
    binding = {
        "metadata": {"name": name},
        "subjects": [{"kind": "User", "name": "operator", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"},
    }
    apiserver.request("POST", f"{api}/{kind.lower()}bindings", binding)
    return f"{api}/{kind.lower()}bindings/{name}"
