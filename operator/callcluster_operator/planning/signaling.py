"""How many signaling pods there are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from callcluster_operator.api.times import precise, seconds_of
from callcluster_operator.objects import DEPLOYMENT
from callcluster_operator.planning import names, pods
from callcluster_operator.planning.installation import Installation

DEFAULT_REPLICAS = 2

SCALE_DOWN = "callcluster.dev/scale-down"
"""Annotation of the Deployment while fewer pods would do: since when, and the most needed since then."""


@dataclass(frozen=True)
class Size:
    """The wanted number of pods."""

    replicas: int
    annotations: dict[str, str] = field(default_factory=dict)
    """What the Deployment has to remember."""
    wake_at: float | None = None


def decide(installation: Installation) -> Size:
    """The number that the spec names, or the one that the sessions ask for.

    More pods come at once. Fewer come when they have been enough for the whole stabilization time, and then
    as few as sufficed throughout. Without a report of every pod the load is not known, and nothing shrinks.
    """
    wanted = installation.spec.signaling
    if wanted.autoscaling is None:
        return Size(wanted.replicas or DEFAULT_REPLICAS)
    scaling = wanted.autoscaling
    live = installation.child(DEPLOYMENT, names.workload(installation.name, names.SIGNALING))
    if live is None:
        return Size(scaling.min_replicas)
    present = live["spec"].get("replicas", 1)
    needed = math.ceil(sessions(installation) / scaling.target_sessions_per_replica)
    needed = min(max(needed, scaling.min_replicas), scaling.max_replicas)
    if needed >= present:
        return Size(needed)
    bounded = min(present, scaling.max_replicas)
    if not all_report(installation):
        return Size(bounded)
    since, most = _window(live["metadata"].get("annotations", {}).get(SCALE_DOWN, ""))
    if since is None:
        since, most = installation.now, needed
    most = max(most, needed)
    ends_at = since + scaling.scale_down_stabilization_seconds
    if installation.now >= ends_at:
        return Size(min(most, bounded))
    return Size(bounded, {SCALE_DOWN: f"{precise(since)}/{most}"}, ends_at)


def sessions(installation: Installation) -> int:
    """Sessions on all pods that report."""
    return sum(
        report.sessions
        for pod in installation.signaling_pods()
        if (report := installation.signaling_report(pod)) is not None
    )


def all_report(installation: Installation) -> bool:
    """Whether every pod that may hold sessions has reported."""
    return all(
        installation.signaling_report(pod) is not None
        for pod in installation.signaling_pods()
        if pods.may_run(pod)
    )


def _window(text: str) -> tuple[float | None, int]:
    since, _, most = text.partition("/")
    return (seconds_of(since), int(most)) if most.isdecimal() else (None, 0)
