"""TURN servers: how many there are, on which slots, and how one takes leave.

A server is a bare pod. Its spec is never changed: a server that is to be different gets a successor on a
free slot, and when that takes sessions, the old one is drained. It goes when its last relay has ended, or
at its deadline. Nothing else makes us delete a server that may carry calls.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from callcluster_operator.api.times import precise, seconds_of
from callcluster_operator.objects import POD, Object, ref_of
from callcluster_operator.plan import Apply, Delete, Drain
from callcluster_operator.planning import addresses, drift, names, pods, ports
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests.turn import pod_manifest
from callcluster_operator.planning.servers import Server, annotations_of, editable, read_server

FAILED_POD_REST_SECONDS = 10
"""How long a failed pod holds its place, so that one that fails at once is not made again in a loop."""

Step = Apply | Delete | Drain


@dataclass(frozen=True)
class Tier:
    """All servers, and what is to be done about them."""

    servers: tuple[Server, ...]
    """As they are after the steps, less those that the steps make or delete."""
    steps: tuple[Step, ...]
    exhausted: bool = False
    """Whether a server is missing because no slot is free."""
    made: int = 0
    wake_at: float | None = None

    @property
    def taking(self) -> tuple[Server, ...]:
        """Servers for new sessions, those that stay first."""
        able = [server for server in self.servers if server.takes_sessions]
        return tuple(sorted(able, key=lambda server: (server.is_outdated, server.name)))

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way."""
        return not (self.made or self.steps) and all(
            server.takes_sessions and not server.is_outdated for server in self.servers
        )


def decide(installation: Installation, accepts_minting: Callable[[str], bool]) -> Tier:
    """What is to be done about the TURN servers.

    Args:
        installation: the CallCluster.
        accepts_minting: whether a server with that key set accepts the credentials that are made now.
    """
    seen = [read_server(installation, pod, accepts_minting) for pod in installation.turn_pods()]
    if installation.spec.paused:
        return Tier(servers=tuple(seen), steps=())
    pass_ = _Pass(installation, seen)
    pass_.clear_away()
    pass_.make()
    pass_.begin_drains()
    pass_.keep()
    return Tier(
        servers=tuple(pass_.servers[name] for name in sorted(pass_.servers)),
        steps=tuple(pass_.steps),
        exhausted=pass_.exhausted,
        made=pass_.made,
        wake_at=min(pass_.wake_at, default=None),
    )


class _Pass:
    """One decision, taken step by step."""

    def __init__(self, installation: Installation, seen: Sequence[Server]) -> None:
        self._installation = installation
        self._wanted = installation.spec.turn.replicas
        self.servers = {server.name: server for server in seen}
        self.steps: list[Step] = []
        self.wake_at: list[float] = []
        self.exhausted = False
        self.made = 0

    def clear_away(self) -> None:
        """Delete servers that are done: failed ones, and drained ones."""
        for server in list(self.servers.values()):
            if pods.is_terminating(server.pod):
                continue
            if pods.has_ended(server.pod):
                rested_at = self._created(server) + FAILED_POD_REST_SECONDS
                if self._installation.now >= rested_at:
                    self._delete(server)
                else:
                    self.wake_at.append(rested_at)
            elif server.drain_started is not None:
                deadline = drain_deadline(self._installation, server)
                if server.has_no_calls or self._installation.now >= deadline:
                    self._delete(server)
                else:
                    self.wake_at.append(deadline)

    def make(self) -> None:
        """Make servers that are missing, as far as there are slots; at most one more than wanted."""
        active = self._active()
        resting = sum(
            pods.has_ended(server.pod) and not pods.is_terminating(server.pod)
            for server in self.servers.values()
        )
        outdated = [server for server in active if server.is_outdated]
        missing = self._wanted - (len(active) - len(outdated)) - resting
        room = self._wanted + (1 if outdated else 0) - len(active) - resting
        # Also pods that are ours by label alone: an earlier CallCluster of this name may have left them.
        present = [pod for ref, pod in self._installation.observed.children.items() if ref.kind == POD]
        used = {pod["metadata"]["name"] for pod in present}
        held = [claim for pod in present if (claim := ports.held_ports(pod, "")) is not None]
        for _ in range(min(missing, room)):
            slot = ports.free_slot(
                self._installation.spec.turn,
                own=held,
                neighbours=self._installation.observed.neighbours,
                nodes=_usable_nodes(self._installation),
            )
            if slot is None:
                self.exhausted = True
                break
            ordinal = next(
                number
                for number in range(len(used) + 1)
                if names.turn_pod(self._installation.name, number) not in used
            )
            pod = drift.stamped(pod_manifest(self._installation, ordinal, slot))
            used.add(pod["metadata"]["name"])
            held.append(slot.claim(""))
            self.steps.append(Apply(pod))
            self.made += 1

    def begin_drains(self) -> None:
        """Drain outdated servers that have a successor, and those that are too many."""
        active = self._active()
        surplus = len(active) - self._wanted
        taking = sum(server.takes_sessions for server in active)
        going = sorted(active, key=_goes_first)[: max(0, surplus)]
        if self.exhausted:
            # One that serves nobody must not hold the slot that its successor waits for.
            going += [s for s in active if s.is_outdated and not s.takes_sessions and s not in going]
        for server in going:
            if server.takes_sessions:
                if taking <= self._wanted:
                    continue
                taking -= 1
            if server.has_no_calls:
                self._delete(server)
            else:
                self.servers[server.name] = replace(server, drain_started=self._installation.now)
                self.wake_at.append(drain_deadline(self._installation, self.servers[server.name]))

    def keep(self) -> None:
        """Write what is known about a server to its pod, mend its metadata, and tell drained ones so."""
        for server in self.servers.values():
            if pods.is_terminating(server.pod) or pods.has_ended(server.pod):
                continue
            wanted = self._metadata(server)
            if not drift.contains(server.pod["metadata"], wanted):
                self.steps.append(Apply(_with_metadata(server.pod, wanted)))
            # One that does not answer is told as soon as it does.
            if server.drain_started is not None and server.report and not server.report.draining:
                self.steps.append(Drain(server.pod))

    def _metadata(self, server: Server) -> Object:
        """What the pod's metadata must say."""
        labels = names.labels(self._installation.name, names.TURN)
        if server.slot is not None:
            labels[names.SLOT_LABEL] = str(server.slot.number)
        live = annotations_of(server.pod)
        annotations = {name: live[name] for name in _KEPT if name in live}
        if names.EXTERNAL_ADDRESS not in live and server.address is not None:
            own = addresses.host_address(server.pod)
            if own is not None:
                same = server.address.address == own
                annotations[names.EXTERNAL_ADDRESS] = addresses.SAME if same else server.address.address
        if names.EXTERNAL_ADDRESS in annotations:
            annotations.setdefault(names.ADMITTED, editable(server.pod))
        if server.drain_started is not None:
            annotations.setdefault(names.DRAIN_STARTED, precise(server.drain_started))
        return {
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [names.owner_reference(self._installation.observed.callcluster)],
        }

    def _active(self) -> list[Server]:
        return [server for server in self.servers.values() if not server.is_leaving]

    def _delete(self, server: Server) -> None:
        meta = server.pod["metadata"]
        self.steps.append(Delete(ref_of(server.pod), meta["uid"], meta["resourceVersion"]))
        del self.servers[server.name]

    def _created(self, server: Server) -> float:
        return seconds_of(server.pod["metadata"].get("creationTimestamp")) or 0.0


_KEPT = (names.APPLIED_HASH, names.ADMITTED, names.EXTERNAL_ADDRESS, names.DRAIN_STARTED)


def drain_deadline(installation: Installation, server: Server) -> float:
    """When a draining server goes at the latest, as Unix time."""
    started = installation.now if server.drain_started is None else server.drain_started
    return started + installation.spec.turn.drain.timeout_seconds


def _goes_first(server: Server) -> tuple[bool, bool, int, int]:
    return (not server.is_outdated, server.takes_sessions, server.load, -server.ordinal)


def _usable_nodes(installation: Installation) -> int:
    return sum(
        not node.get("spec", {}).get("unschedulable")
        and not any(
            taint.get("effect") in ("NoSchedule", "NoExecute")
            for taint in node.get("spec", {}).get("taints", ())
        )
        for node in installation.observed.nodes
    )


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
