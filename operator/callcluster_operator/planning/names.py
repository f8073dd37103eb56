"""Names, labels, annotations and selectors: the one place that knows them."""

from __future__ import annotations

from collections.abc import Mapping

from callcluster_operator.objects import API_VERSION, CALL_CLUSTER, Object

SIGNALING = "signaling"
TURN = "turn"
SFU = "sfu"
REDIS = "redis"

COMPONENT_LABEL = "app.kubernetes.io/component"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "callcluster"

APPLIED_HASH = "callcluster.dev/applied-hash"
"""Hash of the manifest that was applied last."""
ADMITTED = "callcluster.dev/admitted"
"""What of a server's pod may still be edited, as a hash of what it was when the pod was let in."""
EXTERNAL_ADDRESS = "callcluster.dev/external-address"
"""The address under which clients reach a server; of a TURN server ``none`` where it is the node's own."""
DRAIN_STARTED = "callcluster.dev/drain-started"
"""When a server was told to take nothing new."""
PORTS = "callcluster.dev/ports"
"""Ports that the SFUs hold, and those that rest: on their service account."""
SLOT_LABEL = "callcluster.dev/slot"
"""Number of a TURN server's slot, for people: what counts is in its spec."""
ROOM_LABEL = "callcluster.dev/room"
"""Opaque name of the room whose own SFU it is, for people: what counts is in its spec."""

CONTROL_PORT = "control"
"""Name of the control port in every workload pod."""


def selector(cc_name: str) -> dict[str, str]:
    """Labels by which a CallCluster's children are found."""
    return {INSTANCE_LABEL: cc_name, MANAGED_BY_LABEL: MANAGER}


ON_THE_HOST = (TURN, SFU)
"""Components whose servers are bare pods on the host network."""


def every_pod(component: str) -> dict[str, str]:
    """Labels of one component's pods of all CallClusters."""
    return {COMPONENT_LABEL: component, MANAGED_BY_LABEL: MANAGER}


def component_selector(cc_name: str, component: str) -> dict[str, str]:
    """Labels by which one component's pods are found."""
    return {**selector(cc_name), COMPONENT_LABEL: component}


def labels(cc_name: str, component: str) -> dict[str, str]:
    """All labels of a child."""
    return {
        "app.kubernetes.io/name": "callcluster",
        "app.kubernetes.io/part-of": "callcluster",
        **component_selector(cc_name, component),
    }


def selector_text(selected: Mapping[str, str]) -> str:
    """A selector as ``kubectl -l`` takes it."""
    return ",".join(f"{name}={value}" for name, value in sorted(selected.items()))


def owner_reference(callcluster: Object) -> dict[str, object]:
    """Makes the garbage collector take a child down with its CallCluster."""
    return {
        "apiVersion": API_VERSION,
        "kind": CALL_CLUSTER.kind,
        "name": callcluster["metadata"]["name"],
        "uid": callcluster["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def workload(cc_name: str, component: str) -> str:
    """Name of a component's Deployment, Service, service account and policies."""
    return f"{cc_name}-{component}"


def server_pod(cc_name: str, component: str, ordinal: int) -> str:
    """Name of a server's pod, where servers are bare pods."""
    return f"{cc_name}-{component}-{ordinal}"


def ordinal_of(cc_name: str, component: str, pod_name: str) -> int | None:
    """The number in the name of a server's pod; ``None`` where it is not one of that component."""
    prefix, _, ordinal = pod_name.rpartition("-")
    return int(ordinal) if prefix == f"{cc_name}-{component}" and ordinal.isdecimal() else None


def directive_config_map(cc_name: str) -> str:
    """Holds what the signaling pods are told."""
    return f"{cc_name}-directive"


def turn_keys_secret(cc_name: str) -> str:
    """Holds the key set for TURN credentials."""
    return f"{cc_name}-turn-keys"


def control_secret(cc_name: str) -> str:
    """Holds the key set of the control ports."""
    return f"{cc_name}-control-keys"


def jwt_secret(cc_name: str) -> str:
    """Holds the key for members' tokens where the spec names none."""
    return f"{cc_name}-jwt"


def redis_secret(cc_name: str) -> str:
    """Holds password and URL of the managed Redis."""
    return f"{cc_name}-redis"


def salt_secret(cc_name: str) -> str:
    """Holds the salt under which room ids become opaque names."""
    return f"{cc_name}-room-salt"
