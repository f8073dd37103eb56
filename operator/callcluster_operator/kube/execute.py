"""Carries out a plan, step by step and in its order. It decides nothing."""

from __future__ import annotations

from callcluster_common.keyset import KeySet

from callcluster_operator.cluster import Cluster
from callcluster_operator.plan import Apply, Delete, Drain, Plan, WriteStatus
from callcluster_operator.workload.reports import ReportReader


async def execute(cluster: Cluster, reports: ReportReader, plan: Plan, keys: KeySet | None) -> None:
    """Do every step; stop at the first that fails, since later steps may count on it.

    Args:
        cluster: where to write.
        reports: tells pods to drain.
        plan: the steps.
        keys: opens the pods' control ports; without them no pod is running yet that could be told.

    Raises:
        ConflictError: the world has moved on: observe and plan again.
        InvalidObjectError: an object is refused for good.
        ClusterError: anything else; worth another try.
    """
    for step in plan.steps:
        match step:
            case Apply(manifest):
                await cluster.apply(manifest)
            case Delete(ref, uid, resource_version):
                await cluster.delete(ref, uid=uid, resource_version=resource_version)
            case Drain(pod):
                if keys is not None:
                    await reports.drain(pod, keys)
            case WriteStatus(ref, status, resource_version):
                await cluster.write_status(ref, status, resource_version=resource_version)
