"""Host ports of TURN servers: slots, and who holds which.

Slot ``k`` of a CallCluster has the listeners ``listeningPort + 2k`` (UDP and TCP) and ``5349 + k`` (TLS),
the control port ``9600 + k`` and the ``k``-th block of the relay range. A server declares its single ports
as ``hostPort``, so that the scheduler never puts two owners of one on a node; blocks go with the listeners.
"""

from __future__ import annotations

from callcluster_operator.objects import Object
from callcluster_operator.observed import PortClaim
from callcluster_operator.planning import names


def claim_of(pod: Object) -> PortClaim | None:
    """The host ports that a TURN server's pod holds; ``None`` where it is none, or has ended."""
    meta = pod["metadata"]
    labels = meta.get("labels", {})
    if labels.get(names.COMPONENT_LABEL) != names.TURN or names.INSTANCE_LABEL not in labels:
        return None
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return None
    relay = _relay_range(meta.get("annotations", {}).get(names.RELAY_PORTS, ""))
    if relay is None:
        return None
    single = frozenset(
        int(port["hostPort"])
        for container in pod["spec"]["containers"]
        for port in container.get("ports", ())
        if "hostPort" in port
    )
    return PortClaim(f"{meta['namespace']}/{labels[names.INSTANCE_LABEL]}", single, relay)


def _relay_range(text: str) -> tuple[int, int] | None:
    first, _, last = text.partition("-")
    return (int(first), int(last)) if first.isdecimal() and last.isdecimal() else None
