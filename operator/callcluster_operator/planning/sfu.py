"""SFUs: how many there are, on which ports, and which rooms have one of their own.

Those that rooms share settle among themselves which rooms they take. One that belongs to a room is made for
it, with the room's opaque name in its spec, which nobody can change: that is the room's claim.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from callcluster_common.reports import SFUReport

from callcluster_operator.api.v1alpha1 import SFU
from callcluster_operator.objects import Object
from callcluster_operator.observed import PortClaim
from callcluster_operator.planning import names, pods, ports, resting, servers
from callcluster_operator.planning.fleet import Fleet, Step, Tier
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests.sfu import MEDIA_PORT, ROOM, pod_manifest
from callcluster_operator.planning.ports import SFUPorts
from callcluster_operator.planning.servers import Server


@dataclass(frozen=True, kw_only=True)
class SFUServer(Server):
    """An SFU as it is seen."""

    ports: SFUPorts | None
    """``None`` where its pod declares others than an SFU has."""
    report: SFUReport | None
    room: str
    """Opaque name of the only room that it serves; empty where it takes any."""

    @property
    def own_labels(self) -> dict[str, str]:
        """Its room."""
        return {names.ROOM_LABEL: self.room} if self.room else {}

    @property
    def calls(self) -> int | None:
        """Its participants."""
        return self.report.participants if self.report else None

    @property
    def is_draining(self) -> bool:
        """Whether its report says that it takes no rooms."""
        return self.report is not None and self.report.draining

    @property
    def takes_sessions(self) -> bool:
        """Whether it takes rooms: it does so by itself, whether we hear of it or not."""
        says_so = self.report is None or (self.report.serving and not self.report.draining)
        return self.could_take_sessions and says_so

    def is_full(self, limits: SFU) -> bool:
        """Whether it says that it has all the rooms that it may, or no space for a call's first two."""
        return self.report is not None and (
            self.report.rooms >= limits.rooms_per_replica
            or self.report.participants + 2 > limits.participants_per_replica
        )


@dataclass(frozen=True)
class Decision:
    """What is to be done about the SFUs."""

    shared: Tier[SFUServer]
    """Those that take any room."""
    own: Mapping[str, Tier[SFUServer]]
    """Those that belong to one room, by its opaque name."""
    record: resting.Record
    """Of their ports."""
    wanted: int
    """How many there are to be in all."""

    @property
    def servers(self) -> tuple[SFUServer, ...]:
        """All of them, by name."""
        return tuple(sorted((s for tier in self._tiers for s in tier.servers), key=lambda s: s.name))

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is to be done."""
        return tuple(step for tier in self._tiers for step in tier.steps)

    @property
    def exhausted(self) -> bool:
        """Whether one is missing because no ports are free."""
        return any(tier.exhausted for tier in self._tiers)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way."""
        return all(tier.is_settled for tier in self._tiers)

    @property
    def exists(self) -> bool:
        """Whether there is anything of the SFUs, or is to be."""
        return bool(self.wanted or self.servers or self.record)

    @property
    def wake_at(self) -> float | None:
        """When time alone changes something."""
        times = (*(tier.wake_at for tier in self._tiers), *self.record.values())
        return min((at for at in times if at is not None), default=None)

    @property
    def _tiers(self) -> tuple[Tier[SFUServer], ...]:
        return (self.shared, *self.own.values())


def decide(installation: Installation, rooms: Collection[str] = ()) -> Decision:
    """What is to be done about the SFUs.

    Args:
        installation: the CallCluster.
        rooms: opaque names of the rooms that are to have an SFU of their own.
    """
    seen = [read_server(installation, pod) for pod in installation.sfu_pods()]
    held = {server.ports.media for server in seen if server.ports is not None}
    record = resting.brought_up_to_date(resting.read(installation), held, installation.now)
    by_room: dict[str, list[SFUServer]] = {}
    for server in seen:
        by_room.setdefault(server.room, []).append(server)
    counts = {"": installation.spec.sfu.replicas, **dict.fromkeys(rooms, 1)}
    tiers: dict[str, Tier[SFUServer]] = {}
    made: list[Object] = []
    # Those that rooms share come first where ports are scarce.
    for room in sorted({*counts, *by_room}):
        fleet = _SFUFleet(
            installation,
            by_room.get(room, ()),
            room=room,
            wanted=counts.get(room, 0),
            taken=frozenset(record),
            beside=made,
        )
        tiers[room] = fleet.decide()
        made += fleet.made
    given = (own.media for pod in made if (own := _ports(pod)) is not None)
    return Decision(tiers.pop(""), tiers, {**record, **dict.fromkeys(given)}, sum(counts.values()))


class _SFUFleet(Fleet[SFUServer]):
    def __init__(
        self,
        installation: Installation,
        seen: Sequence[SFUServer],
        *,
        room: str,
        wanted: int,
        taken: frozenset[int],
        beside: Sequence[Object],
    ) -> None:
        super().__init__(
            installation,
            names.SFU,
            seen,
            wanted=wanted,
            drain_seconds=installation.spec.sfu.drain.timeout_seconds,
            beside=beside,
        )
        self._room = room
        self._taken = taken

    def build(self, ordinal: int, held: Sequence[PortClaim]) -> Object | None:
        free = ports.free_sfu_ports(
            self._installation.spec.sfu.port_range,
            claims=(*held, *self._installation.observed.neighbours),
            taken=self._taken,
        )
        return None if free is None else pod_manifest(self._installation, ordinal, free, self._room)


def read_server(installation: Installation, pod: Object) -> SFUServer:
    """What a pod says about its SFU."""
    address, moved = servers.address_of(installation, pod)
    claim = servers.claim_of(installation, pod)
    own = _ports(pod)
    has_conflict = servers.has_conflict(installation, claim)
    return SFUServer(
        pod=pod,
        claim=claim,
        ports=own,
        report=installation.sfu_report(pod),
        room=pods.variable(pod, ROOM),
        address=address,
        drain_started=servers.drain_started(installation, pod),
        is_outdated=(
            own is None
            or not _is_in_range(installation, own)
            or moved
            or has_conflict
            or not _is_as_built(installation, pod, own)
            or not servers.is_as_admitted(pod)
        ),
        has_conflict=has_conflict,
    )


def _ports(pod: Object) -> SFUPorts | None:
    declared = {
        port.get("name"): int(port["hostPort"])
        for container in pod["spec"]["containers"]
        for port in container.get("ports", ())
        if "hostPort" in port
    }
    media, control = declared.get(MEDIA_PORT), declared.get(names.CONTROL_PORT)
    return None if media is None or control is None else SFUPorts(media, control)


def _is_in_range(installation: Installation, own: SFUPorts) -> bool:
    wanted = installation.spec.sfu.port_range
    return wanted.min <= own.media <= wanted.max


def _is_as_built(installation: Installation, pod: Object, own: SFUPorts) -> bool:
    ordinal = names.ordinal_of(installation.name, names.SFU, pod["metadata"]["name"])
    room = pods.variable(pod, ROOM)
    return ordinal is not None and servers.is_as_built(pod, pod_manifest(installation, ordinal, own, room))
