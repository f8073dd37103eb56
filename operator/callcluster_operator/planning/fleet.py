"""How servers that are bare pods come, change and take leave.

A server's spec is never changed: a server that is to be different gets a successor on free ports, and when
that takes sessions, the old one is drained. It goes when its last call has ended, or at its deadline.
Nothing else makes us delete a server that may carry calls.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from callcluster_operator.api.times import precise, seconds_of
from callcluster_operator.objects import POD, Object, ref_of
from callcluster_operator.observed import PortClaim
from callcluster_operator.plan import Apply, Delete, Drain
from callcluster_operator.planning import addresses, drift, names, pods, ports
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.servers import Server, annotations_of, editable

FAILED_POD_REST_SECONDS = 10
"""How long a failed pod holds its place, so that one that fails at once is not made again in a loop."""

Step = Apply | Delete | Drain
S = TypeVar("S", bound=Server)


@dataclass(frozen=True)
class Tier(Generic[S]):
    """All servers of one kind, and what is to be done about them."""

    servers: tuple[S, ...]
    """As they are after the steps, less those that the steps make or delete."""
    steps: tuple[Step, ...]
    exhausted: bool = False
    """Whether a server is missing because no ports are free."""
    wake_at: float | None = None

    @property
    def taking(self) -> tuple[S, ...]:
        """Servers for new sessions, those that stay first."""
        able = [server for server in self.servers if server.takes_sessions]
        return tuple(sorted(able, key=lambda server: (server.is_outdated, server.name)))

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way."""
        return not self.steps and all(
            server.takes_sessions and not server.is_outdated for server in self.servers
        )


class Fleet(ABC, Generic[S]):
    """One decision about the servers of one kind, taken step by step.

    Args:
        installation: the CallCluster.
        component: the kind.
        seen: the servers as they are.
        wanted: how many there are to be.
        drain_seconds: how long a server waits for its last call.
        beside: pods that others make in the same pass.
    """

    def __init__(
        self,
        installation: Installation,
        component: str,
        seen: Sequence[S],
        *,
        wanted: int,
        drain_seconds: int,
        beside: Sequence[Object] = (),
    ) -> None:
        self._installation = installation
        self._component = component
        self._wanted = wanted
        self._drain_seconds = drain_seconds
        self._beside = beside
        self._servers = {server.name: server for server in seen}
        self._steps: list[Step] = []
        self._wake_at: list[float] = []
        self._exhausted = False
        self.made: list[Object] = []
        """Pods of new servers."""

    @abstractmethod
    def build(self, ordinal: int, held: Sequence[PortClaim]) -> Object | None:
        """The pod of a new server; ``None`` where no ports are free.

        Args:
            ordinal: the number at the end of its name.
            held: ports that pods of this CallCluster hold.
        """

    def decide(self) -> Tier[S]:
        """What is to be done about the servers."""
        if self._installation.spec.paused:
            return Tier(servers=tuple(self._servers.values()), steps=())
        self._clear_away()
        self._make()
        self._begin_drains()
        self._keep()
        return Tier(
            servers=tuple(self._servers[name] for name in sorted(self._servers)),
            steps=tuple(self._steps),
            exhausted=self._exhausted,
            wake_at=min(self._wake_at, default=None),
        )

    def _clear_away(self) -> None:
        """Delete servers that are done: failed ones, and drained ones."""
        for server in list(self._servers.values()):
            if pods.is_terminating(server.pod):
                continue
            if pods.has_ended(server.pod):
                rested_at = _created(server) + FAILED_POD_REST_SECONDS
                if self._installation.now >= rested_at:
                    self._delete(server)
                else:
                    self._wake_at.append(rested_at)
            elif server.drain_started is not None:
                deadline = drain_deadline(server.drain_started, self._drain_seconds)
                if server.has_no_calls or self._installation.now >= deadline:
                    self._delete(server)
                else:
                    self._wake_at.append(deadline)

    def _make(self) -> None:
        """Make servers that are missing, as far as there are ports; at most one more than wanted."""
        active = self._active()
        resting = sum(
            pods.has_ended(server.pod) and not pods.is_terminating(server.pod)
            for server in self._servers.values()
        )
        outdated = [server for server in active if server.is_outdated]
        missing = self._wanted - (len(active) - len(outdated)) - resting
        room = self._wanted + (1 if outdated else 0) - len(active) - resting
        count = min(missing, room)
        if count <= 0:
            return
        # Also pods that are ours by label alone: an earlier CallCluster of this name may have left them.
        children = self._installation.observed.children.items()
        present = [*(child for ref, child in children if ref.kind == POD), *self._beside]
        used = {pod["metadata"]["name"] for pod in present}
        held = [claim for pod in present if (claim := ports.held_ports(pod, "")) is not None]
        for _ in range(count):
            ordinal = next(
                number
                for number in range(len(used) + 1)
                if names.server_pod(self._installation.name, self._component, number) not in used
            )
            pod = self.build(ordinal, held)
            if pod is None:
                self._exhausted = True
                break
            used.add(pod["metadata"]["name"])
            claim = ports.held_ports(pod, "")
            assert claim is not None  # it is on the host network
            held.append(claim)
            self._steps.append(Apply(drift.stamped(pod)))
            self.made.append(pod)

    def _begin_drains(self) -> None:
        """Drain outdated servers that have a successor, and those that are too many."""
        active = self._active()
        surplus = len(active) - self._wanted
        taking = sum(server.takes_sessions for server in active)
        going = sorted(active, key=_goes_first)[: max(0, surplus)]
        if self._exhausted:
            # One that serves nobody must not hold the ports that its successor waits for.
            going += [s for s in active if s.is_outdated and not s.takes_sessions and s not in going]
        now = self._installation.now
        for server in going:
            if server.takes_sessions:
                if taking <= self._wanted:
                    continue
                taking -= 1
            if server.has_no_calls:
                self._delete(server)
            else:
                self._servers[server.name] = replace(server, drain_started=now)
                self._wake_at.append(drain_deadline(now, self._drain_seconds))

    def _keep(self) -> None:
        """Write what is known about a server to its pod, mend its metadata, and tell drained ones so."""
        for server in self._servers.values():
            if pods.is_terminating(server.pod) or pods.has_ended(server.pod):
                continue
            wanted = self._metadata(server)
            if not drift.contains(server.pod["metadata"], wanted):
                self._steps.append(Apply(_with_metadata(server.pod, wanted)))
            # One that does not answer is told as soon as it does.
            if server.drain_started is not None and server.calls is not None and not server.is_draining:
                self._steps.append(Drain(server.pod))

    def _metadata(self, server: S) -> Object:
        """What the pod's metadata must say."""
        live = annotations_of(server.pod)
        annotations = {name: live[name] for name in _KEPT if name in live}
        if names.EXTERNAL_ADDRESS not in live and addresses.host_address(server.pod) is not None:
            note = server.address_note
            if note is not None:
                annotations[names.EXTERNAL_ADDRESS] = note
        if names.EXTERNAL_ADDRESS in annotations:
            annotations.setdefault(names.ADMITTED, editable(server.pod))
        if server.drain_started is not None:
            annotations.setdefault(names.DRAIN_STARTED, precise(server.drain_started))
        return {
            "labels": {**names.labels(self._installation.name, self._component), **server.own_labels},
            "annotations": annotations,
            "ownerReferences": [names.owner_reference(self._installation.observed.callcluster)],
        }

    def _active(self) -> list[S]:
        return [server for server in self._servers.values() if not server.is_leaving]

    def _delete(self, server: S) -> None:
        meta = server.pod["metadata"]
        self._steps.append(Delete(ref_of(server.pod), meta["uid"], meta["resourceVersion"]))
        del self._servers[server.name]


_KEPT = (names.APPLIED_HASH, names.ADMITTED, names.EXTERNAL_ADDRESS, names.DRAIN_STARTED)


def drain_deadline(started: float, drain_seconds: int) -> float:
    """When a server that was told to drain goes at the latest, as Unix time."""
    return started + drain_seconds


def _created(server: Server) -> float:
    return seconds_of(server.pod["metadata"].get("creationTimestamp")) or 0.0


def _goes_first(server: Server) -> tuple[bool, bool, int, int]:
    return (not server.is_outdated, server.takes_sessions, server.load, -server.ordinal)


def _with_metadata(pod: Object, metadata: Object) -> Object:
    """The live pod with other metadata. Its spec is repeated, since leaving it out would clear it."""
    meta = pod["metadata"]
    return {
        "apiVersion": pod["apiVersion"],
        "kind": pod["kind"],
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
            **metadata,
        },
        "spec": copy.deepcopy(pod["spec"]),
    }
