"""Rooms: who is in them, and when they end."""

from __future__ import annotations

from callcluster_operator.objects import Object
from callcluster_operator.plan import Plan


def plan_orphan(room: Object, now: float) -> Plan:
    """A room whose CallCluster does not exist: say so in its status."""
    return Plan()
