"""From what is to what is to be done."""

from __future__ import annotations

from callcluster_operator.observed import Observed
from callcluster_operator.plan import Plan


def plan(observed: Observed) -> Plan:
    """Decide what is to be done for one CallCluster."""
    return Plan()
