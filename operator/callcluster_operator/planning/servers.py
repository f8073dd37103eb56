"""TURN servers as they are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from callcluster_common.reports import TURNReport

from callcluster_operator.api.times import seconds_of
from callcluster_operator.objects import Object
from callcluster_operator.observed import PortClaim
from callcluster_operator.planning import addresses, directives, drift, names, pods, ports
from callcluster_operator.planning.addresses import Address
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests.turn import pod_manifest
from callcluster_operator.planning.ports import Slot


@dataclass(frozen=True)
class Server:
    """A TURN server as it is seen."""

    pod: Object
    claim: PortClaim | None
    slot: Slot | None
    """``None`` where its ports are not those of a slot of the present spec."""
    report: TURNReport | None
    address: Address | None
    """Where clients reach it; ``None`` while that is not known."""
    drain_started: float | None
    accepts_minting: bool = False
    """Whether it is known to accept the credentials that are made now."""
    was_told: bool = False
    """Whether signaling sends sessions there now."""
    is_outdated: bool = False
    """Whether it is to be replaced."""
    has_conflict: bool = False

    @property
    def name(self) -> str:
        """Name of its pod."""
        return str(self.pod["metadata"]["name"])

    @property
    def is_leaving(self) -> bool:
        """Whether it takes no new sessions any more, and never will again."""
        return self.drain_started is not None or pods.is_terminating(self.pod) or pods.has_ended(self.pod)

    @property
    def takes_sessions(self) -> bool:
        """Whether new sessions may be sent to it."""
        return (
            self.could_take_sessions
            # Without a report it stays as it is: one that gets sessions has accepted the key, and no other
            # is minted before it has confirmed that, too.
            and (self.accepts_minting or (self.report is None and self.was_told))
            and not (self.report is not None and self.report.draining)
        )

    @property
    def could_take_sessions(self) -> bool:
        """Whether all but its report speaks for new sessions."""
        return (
            pods.is_ready(self.pod)
            and not self.is_leaving
            and self.slot_ports is not None
            and self.address is not None
            and names.EXTERNAL_ADDRESS in annotations_of(self.pod)
        )

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

    @property
    def load(self) -> int:
        """Its allocations; unknown counts as many."""
        return self.report.allocations if self.report else 2**31

    @property
    def has_no_calls(self) -> bool:
        """Whether it is sure that no relay of the server is in use, and none can come."""
        if not pods.may_run(self.pod):
            return True
        report = self.report
        return report is not None and report.draining and report.allocations == 0

    @property
    def ordinal(self) -> int:
        """Number at the end of its name; -1 where it has none."""
        number = self.name.rpartition("-")[2]
        return int(number) if number.isdecimal() else -1


def read_server(installation: Installation, pod: Object, accepts_minting: Callable[[str], bool]) -> Server:
    """What a pod says about its server.

    Args:
        installation: the CallCluster.
        pod: a pod that it controls.
        accepts_minting: whether a server with that key set accepts the credentials that are made now.
    """
    report = installation.turn_report(pod)
    notes = annotations_of(pod)
    known = addresses.candidates(installation.spec.addressing, pod, installation.observed.nodes)
    written = notes.get(names.EXTERNAL_ADDRESS)
    address = known[0] if known else None
    moved = False
    if written is not None:
        # The agent has read it and will not read it again. It counts for as long as any source knows it.
        used = addresses.host_address(pod) if written == addresses.SAME else written
        address = next((one for one in known if one.address == used), None)
        moved = address is None and bool(known)
        if address is None and used is not None:
            address = Address(used, None)
    claim = ports.held_ports(pod, f"{installation.namespace}/{installation.name}")
    slot = _slot(installation, claim)
    has_conflict = claim is not None and any(
        # Both sides see the conflict; the one whose name is later gives way.
        ports.overlap(claim, neighbour) and claim.owner > neighbour.owner
        for neighbour in installation.observed.neighbours
    )
    drain_started = None
    if names.DRAIN_STARTED in notes:
        started = seconds_of(notes[names.DRAIN_STARTED])
        drain_started = installation.now if started is None else started
    server = Server(
        pod=pod,
        claim=claim,
        slot=slot,
        report=report,
        address=address,
        drain_started=drain_started,
        accepts_minting=report is not None and accepts_minting(report.key_set),
        is_outdated=(
            slot is None
            or moved
            or has_conflict
            or not _is_as_built(installation, pod, slot)
            or notes.get(names.ADMITTED, editable(pod)) != editable(pod)
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
    """Whether we would build the same pod today.

    By its hash alone: fields that an admission webhook changed would differ again in every successor. What
    somebody edits later is told by :func:`editable`.
    """
    prefix, _, ordinal = pod["metadata"]["name"].rpartition("-")
    if prefix != f"{installation.name}-turn" or not ordinal.isdecimal():
        return False
    built = drift.stamped(pod_manifest(installation, int(ordinal), slot))
    return annotations_of(pod).get(names.APPLIED_HASH) == annotations_of(built)[names.APPLIED_HASH]


def editable(pod: Object) -> str:
    """A hash of what an edit of a live pod could do harm with: which program runs, and until when.

    All else in a pod's spec the API server keeps as it is, but for more tolerations, and resources that an
    autoscaler may set.
    """
    spec = pod["spec"]
    images = {container["name"]: container.get("image", "") for container in spec["containers"]}
    return drift.digest({"images": images, "deadline": spec.get("activeDeadlineSeconds")})


def annotations_of(pod: Object) -> dict[str, str]:
    """The pod's annotations; empty where it has none."""
    found: dict[str, str] = pod["metadata"].get("annotations", {})
    return found
