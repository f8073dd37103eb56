"""TURN servers: how many there are, on which slots, and which of them signaling sends sessions to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from callcluster_common.reports import TURNReport

from callcluster_operator.objects import Object
from callcluster_operator.observed import PortClaim
from callcluster_operator.planning import addresses, directives, names, ports, servers
from callcluster_operator.planning.fleet import Fleet, Tier
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests.turn import pod_manifest
from callcluster_operator.planning.ports import Slot
from callcluster_operator.planning.servers import Server


@dataclass(frozen=True, kw_only=True)
class TURNServer(Server):
    """A TURN server as it is seen."""

    slot: Slot | None
    """``None`` where its ports are not those of a slot of the present spec."""
    report: TURNReport | None
    accepts_minting: bool
    """Whether it is known to accept the credentials that are made now."""
    was_told: bool = False
    """Whether signaling sends sessions there now."""

    @property
    def calls(self) -> int | None:
        """Its allocations."""
        return self.report.allocations if self.report else None

    @property
    def is_draining(self) -> bool:
        """Whether its report says that it takes nothing new."""
        return self.report is not None and self.report.draining

    @property
    def takes_sessions(self) -> bool:
        """Whether new sessions may be sent to it."""
        return (
            self.could_take_sessions
            # Without a report it stays as it is: one that gets sessions has accepted the key, and no other
            # is minted before it has confirmed that, too.
            and (self.accepts_minting or (self.report is None and self.was_told))
            and not self.is_draining
        )

    @property
    def could_take_sessions(self) -> bool:
        """Whether all but its report speaks for new sessions."""
        return super().could_take_sessions and self.slot_ports is not None

    @property
    def own_labels(self) -> dict[str, str]:
        """Its slot."""
        return {} if self.slot is None else {names.SLOT_LABEL: str(self.slot.number)}

    @property
    def address_note(self) -> str | None:
        """Its address, or the word for the node's own: coturn is told of a NAT only where there is one."""
        own = addresses.host_address(self.pod)
        is_own = self.address is not None and self.address.address == own
        return addresses.SAME if is_own else super().address_note

    def turn_uris(self, domain: str) -> tuple[str, ...]:
        """Its URIs for signaling, best first."""
        if self.slot_ports is None or self.address is None:
            return ()
        return directives.turn_uris(domain, self.address.address, *self.slot_ports)

    @property
    def stun_uri(self) -> str:
        """Its STUN URI; empty while its address is not known."""
        if self.slot_ports is None or self.address is None:
            return ""
        return directives.stun_uri(self.address.address, self.slot_ports[0])

    @property
    def slot_ports(self) -> tuple[int, int] | None:
        """Listener and TLS port (0 where it has none), as its spec has them."""
        listener = tls = 0
        for container in self.pod["spec"]["containers"]:
            for port in container.get("ports", ()):
                listener = port["containerPort"] if port.get("name") == "turn-udp" else listener
                tls = port["containerPort"] if port.get("name") == "turn-tls" else tls
        return (listener, tls) if listener else None


def decide(installation: Installation, accepts_minting: Callable[[str], bool]) -> Tier[TURNServer]:
    """What is to be done about the TURN servers.

    Args:
        installation: the CallCluster.
        accepts_minting: whether a server with that key set accepts the credentials that are made now.
    """
    return _TURNFleet(
        installation,
        names.TURN,
        [read_server(installation, pod, accepts_minting) for pod in installation.turn_pods()],
        wanted=installation.spec.turn.replicas,
        drain_seconds=installation.spec.turn.drain.timeout_seconds,
    ).decide()


class _TURNFleet(Fleet[TURNServer]):
    def build(self, ordinal: int, held: Sequence[PortClaim]) -> Object | None:
        slot = ports.free_slot(
            self._installation.spec.turn,
            own=held,
            neighbours=self._installation.observed.neighbours,
            nodes=_usable_nodes(self._installation),
        )
        return None if slot is None else pod_manifest(self._installation, ordinal, slot)


def read_server(
    installation: Installation, pod: Object, accepts_minting: Callable[[str], bool]
) -> TURNServer:
    """What a pod says about its server.

    Args:
        installation: the CallCluster.
        pod: a pod that it controls.
        accepts_minting: whether a server with that key set accepts the credentials that are made now.
    """
    report = installation.turn_report(pod)
    address, moved = servers.address_of(installation, pod)
    claim = servers.claim_of(installation, pod)
    slot = _slot(installation, claim)
    has_conflict = servers.has_conflict(installation, claim)
    server = TURNServer(
        pod=pod,
        claim=claim,
        slot=slot,
        report=report,
        address=address,
        drain_started=servers.drain_started(installation, pod),
        accepts_minting=report is not None and accepts_minting(report.key_set),
        is_outdated=(
            slot is None
            or moved
            or has_conflict
            or not _is_as_built(installation, pod, slot)
            or not servers.is_as_admitted(pod)
        ),
        has_conflict=has_conflict,
    )
    return replace(server, was_told=server.stun_uri in directives.told(installation))


def _slot(installation: Installation, claim: PortClaim | None) -> Slot | None:
    turn = installation.spec.turn
    if claim is None:
        return None
    number, rest = divmod(claim.relay[0] - turn.relay_port_range.min, turn.ports_per_replica)
    if rest or not 0 <= number < turn.slots:
        return None
    slot = ports.slot_of(turn, number)
    fits = claim.relay == slot.relay and {slot.listener, slot.control} <= claim.ports
    return slot if fits else None


def _is_as_built(installation: Installation, pod: Object, slot: Slot) -> bool:
    ordinal = names.ordinal_of(installation.name, names.TURN, pod["metadata"]["name"])
    return ordinal is not None and servers.is_as_built(pod, pod_manifest(installation, ordinal, slot))


def _usable_nodes(installation: Installation) -> int:
    return sum(
        not node.get("spec", {}).get("unschedulable")
        and not any(
            taint.get("effect") in ("NoSchedule", "NoExecute")
            for taint in node.get("spec", {}).get("taints", ())
        )
        for node in installation.observed.nodes
    )
