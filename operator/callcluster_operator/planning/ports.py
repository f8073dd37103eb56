"""Host ports of TURN servers and SFUs, and who holds which.

Slot ``k`` of a CallCluster has the listeners ``listeningPort + 2k`` (UDP and TCP) and ``5349 + k`` (TLS),
the control port ``9600 + k`` and the ``k``-th block of the relay range. A server declares its single ports
as ``hostPort``, so that the scheduler never puts two owners of one on a node; blocks go with the listeners.

An SFU has one UDP port of its CallCluster's range, and a control port from 9700 to 9999.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from callcluster_operator.api.v1alpha1 import TURN, PortRange
from callcluster_operator.objects import Object
from callcluster_operator.observed import PortClaim
from callcluster_operator.planning import names, pods

TLS_BASE = 5349
CONTROL_BASE = 9600
SFU_CONTROL = range(9700, 10_000)


@dataclass(frozen=True)
class Slot:
    """The ports of one TURN server."""

    number: int
    listener: int
    tls: int
    control: int
    relay: tuple[int, int]
    """First and last port."""

    def claim(self, owner: str) -> PortClaim:
        """All its ports. The TLS port counts even while TLS is off, since it may come."""
        return PortClaim(owner, frozenset({self.listener, self.tls, self.control}), self.relay)


def slot_of(turn: TURN, number: int) -> Slot:
    """The ``number``-th slot of a spec."""
    first = turn.relay_port_range.min + number * turn.ports_per_replica
    return Slot(
        number=number,
        listener=turn.listening_port + 2 * number,
        tls=TLS_BASE + number,
        control=CONTROL_BASE + number,
        relay=(first, first + turn.ports_per_replica - 1),
    )


def free_slot(
    turn: TURN, *, own: Collection[PortClaim], neighbours: Collection[PortClaim], nodes: int
) -> Slot | None:
    """The slot for a new server; ``None`` where there is none.

    The lowest one that nobody holds. Where our own servers hold all, the lowest one that fewer servers hold
    than there are nodes: their listeners are the same, so that the scheduler puts them on different ones.
    Slots that touch a neighbour's ports are left alone on all nodes: a claim does not say on which it is.

    Args:
        turn: the spec.
        own: ports of the CallCluster's own servers.
        neighbours: ports of other CallClusters' servers.
        nodes: how many nodes are known to take pods.
    """
    best: tuple[int, Slot] | None = None
    for number in range(turn.slots):
        slot = slot_of(turn, number)
        claim = slot.claim("")
        if any(overlap(claim, neighbour) for neighbour in neighbours):
            continue
        touching = [held for held in own if overlap(claim, held)]
        if not touching:
            return slot
        shares_listener = all(slot.listener in held.ports and held.relay == slot.relay for held in touching)
        if shares_listener and len(touching) < nodes and (best is None or len(touching) < best[0]):
            best = (len(touching), slot)
    return best[1] if best else None


@dataclass(frozen=True)
class SFUPorts:
    """The ports of one SFU."""

    media: int
    control: int


def free_sfu_ports(
    media: PortRange, *, claims: Collection[PortClaim], taken: Collection[int]
) -> SFUPorts | None:
    """The lowest ports for a new SFU that nobody holds on any node; ``None`` where there are none.

    Args:
        media: where the UDP port is to come from.
        claims: ports of all servers, of this CallCluster and of others.
        taken: other ports that are not to be given away, such as those that were freed a moment ago.
    """
    unfree = frozenset(taken).union(*(claim.ports for claim in claims))
    relays = frozenset(claim.relay for claim in claims)

    def lowest(candidates: range) -> int | None:
        return next(
            (
                port
                for port in candidates
                if port not in unfree and not any(first <= port <= last for first, last in relays)
            ),
            None,
        )

    port, control = lowest(range(media.min, media.max + 1)), lowest(SFU_CONTROL)
    return None if port is None or control is None else SFUPorts(port, control)


def overlap(one: PortClaim, other: PortClaim) -> bool:
    """Whether two servers could not live on one node."""
    return (
        bool(one.ports & other.ports)
        or (one.relay[0] <= other.relay[1] and other.relay[0] <= one.relay[1])
        or any(one.relay[0] <= port <= one.relay[1] for port in other.ports)
        or any(other.relay[0] <= port <= other.relay[1] for port in one.ports)
    )


def claim_of(pod: Object) -> PortClaim | None:
    """The host ports that a server's pod holds; ``None`` where it is none, or has ended."""
    labels = pod["metadata"].get("labels", {})
    if labels.get(names.COMPONENT_LABEL) not in names.ON_THE_HOST or names.INSTANCE_LABEL not in labels:
        return None
    return held_ports(pod, f"{pod['metadata']['namespace']}/{labels[names.INSTANCE_LABEL]}")


def held_ports(pod: Object, owner: str) -> PortClaim | None:
    """The host ports that the pod's spec says it takes; ``None`` where it takes none, or has ended."""
    if pods.has_ended(pod):
        return None
    relay = _port(pod, "MIN_PORT"), _port(pod, "MAX_PORT")
    single = frozenset(
        int(port["hostPort"])
        for container in pod["spec"]["containers"]
        for port in container.get("ports", ())
        if "hostPort" in port
    )
    if relay[0] and relay[1]:
        return PortClaim(owner, single, relay)
    return PortClaim(owner, single) if single else None


def _port(pod: Object, name: str) -> int:
    value = pods.variable(pod, name)
    return int(value) if value.isdecimal() else 0
