"""Kubernetes objects as plain data, and references to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""

GROUP = "callcluster.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


@dataclass(frozen=True, order=True)
class Kind:
    """A kind of object, e.g. ``Kind("apps/v1", "Deployment")``."""

    api_version: str
    kind: str
    namespaced: bool = True


CALL_CLUSTER = Kind(API_VERSION, "CallCluster")
ROOM = Kind(API_VERSION, "Room")
POD = Kind("v1", "Pod")
NODE = Kind("v1", "Node", namespaced=False)
SERVICE = Kind("v1", "Service")
CONFIG_MAP = Kind("v1", "ConfigMap")
SECRET = Kind("v1", "Secret")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount")
DEPLOYMENT = Kind("apps/v1", "Deployment")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy")
POD_DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget")

CHILD_KINDS = (
    SERVICE_ACCOUNT,
    CONFIG_MAP,
    SECRET,
    SERVICE,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    DEPLOYMENT,
    POD,
)
"""What a CallCluster owns, in the order in which it is made.

ConfigMaps come before Secrets: signaling must stop sending sessions to a TURN server that lacks a key
before that key makes credentials.
"""


@dataclass(frozen=True, order=True)
class Ref:
    """Names one object. ``namespace`` is empty for cluster-wide kinds."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.namespace}/{self.name}".replace(" /", " ")


def ref_of(obj: Object) -> Ref:
    """The reference that names ``obj``."""
    meta = obj["metadata"]
    namespace = meta.get("namespace", "")
    return Ref(Kind(obj["apiVersion"], obj["kind"], bool(namespace)), namespace, meta["name"])
