"""Servers that are bare pods on the host network, as they are seen: what TURN servers and SFUs share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from callcluster_operator.api.times import seconds_of
from callcluster_operator.objects import Object
from callcluster_operator.observed import PortClaim
from callcluster_operator.planning import addresses, drift, names, pods, ports
from callcluster_operator.planning.addresses import Address
from callcluster_operator.planning.installation import Installation


@dataclass(frozen=True, kw_only=True)
class Server(ABC):
    """A server as it is seen."""

    pod: Object
    claim: PortClaim | None
    address: Address | None
    """Where clients reach it; ``None`` while that is not known."""
    drain_started: float | None
    is_outdated: bool
    """Whether it is to be replaced."""
    has_conflict: bool

    @property
    @abstractmethod
    def calls(self) -> int | None:
        """What of calls it carries, by its report; ``None`` without one."""

    @property
    @abstractmethod
    def is_draining(self) -> bool:
        """Whether its report says that it takes nothing new."""

    @property
    @abstractmethod
    def takes_sessions(self) -> bool:
        """Whether new sessions may go to it."""

    @property
    def own_labels(self) -> dict[str, str]:
        """Labels of its pod beside those that all children have."""
        return {}

    @property
    def address_note(self) -> str | None:
        """What its pod is told to be its address; ``None`` while that is not known."""
        return self.address.address if self.address else None

    @property
    def name(self) -> str:
        """Name of its pod."""
        return str(self.pod["metadata"]["name"])

    @property
    def is_leaving(self) -> bool:
        """Whether it takes no new sessions any more, and never will again."""
        return self.drain_started is not None or pods.is_terminating(self.pod) or pods.has_ended(self.pod)

    @property
    def could_take_sessions(self) -> bool:
        """Whether all but its report speaks for new sessions."""
        return (
            pods.is_ready(self.pod)
            and not self.is_leaving
            and self.address is not None
            and names.EXTERNAL_ADDRESS in annotations_of(self.pod)
        )

    @property
    def load(self) -> int:
        """What of calls it carries; unknown counts as much."""
        return 2**31 if self.calls is None else self.calls

    @property
    def has_no_calls(self) -> bool:
        """Whether it is sure that no call uses the server, and none can come."""
        return not pods.may_run(self.pod) or (self.is_draining and self.calls == 0)

    @property
    def ordinal(self) -> int:
        """Number at the end of its name; -1 where it has none."""
        number = self.name.rpartition("-")[2]
        return int(number) if number.isdecimal() else -1


def claim_of(installation: Installation, pod: Object) -> PortClaim | None:
    """The host ports of one of our own pods."""
    return ports.held_ports(pod, f"{installation.namespace}/{installation.name}")


def has_conflict(installation: Installation, claim: PortClaim | None) -> bool:
    """Whether a neighbour claims one of the ports, too, and we are the one to give way."""
    return claim is not None and any(
        # Both sides see the conflict; the one whose name is later gives way.
        ports.overlap(claim, neighbour) and claim.owner > neighbour.owner
        for neighbour in installation.observed.neighbours
    )


def address_of(installation: Installation, pod: Object) -> tuple[Address | None, bool]:
    """Where clients reach a pod, and whether it has moved to where they do not."""
    known = addresses.candidates(installation.spec.addressing, pod, installation.observed.nodes)
    written = annotations_of(pod).get(names.EXTERNAL_ADDRESS)
    if written is None:
        return (known[0] if known else None), False
    # The process has read it and will not read it again. It counts for as long as any source knows it.
    used = addresses.host_address(pod) if written == addresses.SAME else written
    address = next((one for one in known if one.address == used), None)
    moved = address is None and bool(known)
    if address is None and used is not None:
        address = Address(used, None)
    return address, moved


def drain_started(installation: Installation, pod: Object) -> float | None:
    """When a pod was told to take nothing new, as Unix time; ``None`` where it was not."""
    noted = annotations_of(pod).get(names.DRAIN_STARTED)
    if noted is None:
        return None
    started = seconds_of(noted)
    return installation.now if started is None else started


def is_as_built(pod: Object, manifest: Object) -> bool:
    """Whether a pod is what we would build today.

    By its hash alone: fields that an admission webhook changed would differ again in every successor. What
    somebody edits later is told by :func:`is_as_admitted`.
    """
    built = drift.stamped(manifest)
    return annotations_of(pod).get(names.APPLIED_HASH) == annotations_of(built)[names.APPLIED_HASH]


def is_as_admitted(pod: Object) -> bool:
    """Whether nobody has edited a pod in a way that does harm since it was let in."""
    return annotations_of(pod).get(names.ADMITTED, editable(pod)) == editable(pod)


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
