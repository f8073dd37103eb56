"""SFUs: how many there are, and on which ports. Which rooms they take they settle among themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from callcluster_common.reports import SFUReport

from callcluster_operator.objects import Object
from callcluster_operator.observed import PortClaim
from callcluster_operator.planning import names, ports, resting, servers
from callcluster_operator.planning.fleet import Fleet, Tier
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests.sfu import MEDIA_PORT, pod_manifest
from callcluster_operator.planning.ports import SFUPorts
from callcluster_operator.planning.servers import Server


@dataclass(frozen=True, kw_only=True)
class SFUServer(Server):
    """An SFU as it is seen."""

    ports: SFUPorts | None
    """``None`` where its pod declares others than an SFU has."""
    report: SFUReport | None

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

    def is_full(self, most: int) -> bool:
        """Whether it says that it has all the rooms that it may."""
        return self.report is not None and self.report.rooms >= most


@dataclass(frozen=True)
class Decision:
    """What is to be done about the SFUs."""

    tier: Tier[SFUServer]
    record: resting.Record
    """Of their ports."""
    is_wanted: bool

    @property
    def exists(self) -> bool:
        """Whether there is anything of the SFUs, or is to be."""
        return self.is_wanted or bool(self.tier.servers or self.record)

    @property
    def wake_at(self) -> float | None:
        """When time alone changes something."""
        rested = (until for until in self.record.values() if until is not None)
        return min((at for at in (self.tier.wake_at, *rested) if at is not None), default=None)


def decide(installation: Installation) -> Decision:
    """What is to be done about the SFUs."""
    seen = [read_server(installation, pod) for pod in installation.sfu_pods()]
    held = {server.ports.media for server in seen if server.ports is not None}
    record = resting.brought_up_to_date(resting.read(installation), held, installation.now)
    fleet = _SFUFleet(installation, seen, taken=frozenset(record))
    tier = fleet.decide()
    record = {**record, **dict.fromkeys(fleet.given)}
    return Decision(tier, record, is_wanted=bool(installation.spec.sfu.replicas))


class _SFUFleet(Fleet[SFUServer]):
    def __init__(
        self, installation: Installation, seen: Sequence[SFUServer], *, taken: frozenset[int]
    ) -> None:
        wanted = installation.spec.sfu
        super().__init__(
            installation,
            names.SFU,
            seen,
            wanted=wanted.replicas,
            drain_seconds=wanted.drain.timeout_seconds,
        )
        self._taken = taken
        self.given: list[int] = []
        """UDP ports of new SFUs."""

    def build(self, ordinal: int, held: Sequence[PortClaim]) -> Object | None:
        free = ports.free_sfu_ports(
            self._installation.spec.sfu.port_range,
            claims=(*held, *self._installation.observed.neighbours),
            taken=self._taken,
        )
        if free is None:
            return None
        self.given.append(free.media)
        return pod_manifest(self._installation, ordinal, free)


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
    return ordinal is not None and servers.is_as_built(pod, pod_manifest(installation, ordinal, own))
