"""What planning may see: one snapshot of the world, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from callcluster_common.reports import Report

from callcluster_operator.objects import Object, Ref


@dataclass(frozen=True)
class Platform:
    """What the operator's own installation settles for every CallCluster."""

    signaling_image: str
    turn_image: str
    redis_image: str
    sfu_image: str
    service_host: str | None = None
    """Where Services are reached; ``None`` means by their own names (Kubernetes)."""
    signaling_port: int = 3000
    """Port of ``service_host`` under which clients reach signaling."""
    redis_url: str | None = None
    """Used instead of a managed Redis where none can run, e.g. ``memory://``."""


NO_RELAY = (1, 0)
"""The relay range of a server without one: an empty range, which meets nothing."""


@dataclass(frozen=True)
class PortClaim:
    """Host ports that a TURN server or an SFU of a CallCluster holds."""

    owner: str
    """``namespace/name`` of that CallCluster."""
    ports: frozenset[int]
    """Single ports: listeners and control port."""
    relay: tuple[int, int] = NO_RELAY
    """First and last port of the relay range."""


@dataclass(frozen=True)
class Observed:
    """One CallCluster and all around it at one moment."""

    now: float
    """Unix time in seconds."""
    entropy: bytes
    """64 fresh random bytes: planning derives new keys from them and has no other randomness."""
    platform: Platform
    callcluster: Object
    children: Mapping[Ref, Object] = field(default_factory=dict)
    """Objects labelled as this CallCluster's."""
    rooms: tuple[Object, ...] = ()
    """Room objects whose ``clusterRef`` names this CallCluster."""
    nodes: tuple[Object, ...] = ()
    neighbours: tuple[PortClaim, ...] = ()
    secrets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Keys of each Secret that the spec names and that exists, by its name. Never what they hold."""
    reports: Mapping[str, Report] = field(default_factory=dict)
    """Load report of each pod that answered, by pod name."""
