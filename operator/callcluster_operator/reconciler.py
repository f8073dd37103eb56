"""One pass over one CallCluster: gather, plan, execute."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping

from callcluster_operator.cluster import Cluster, ConflictError, InvalidObjectError
from callcluster_operator.kube.execute import execute
from callcluster_operator.kube.gather import children_of, control_keys, gather, neighbours_of, owner_of
from callcluster_operator.kube.nodes import Nodes
from callcluster_operator.objects import DEPLOYMENT, POD, Object, Ref, ref_of
from callcluster_operator.observed import Observed, Platform
from callcluster_operator.plan import Apply, Plan
from callcluster_operator.planning.plan import plan
from callcluster_operator.planning.rooms import plan_orphan
from callcluster_operator.planning.status import refused_steps
from callcluster_operator.workload.reports import ReportReader

CONFLICT_SECONDS = 0.1
"""After a conflict somebody has just written: look again soon."""


class Reconciler:
    """Brings CallClusters to where their spec wants them. One per process: it orders their port claims.

    Args:
        cluster: reads and writes objects.
        reports: reads the pods' load.
        platform: what this installation settles for all CallClusters.
        clock: Unix time in seconds.
        entropy: gives 64 fresh random bytes.
    """

    def __init__(
        self,
        cluster: Cluster,
        reports: ReportReader,
        platform: Platform,
        *,
        clock: Callable[[], float],
        entropy: Callable[[], bytes],
    ) -> None:
        self._cluster = cluster
        self._nodes = Nodes(cluster, clock)
        self._reports = reports
        self._platform = platform
        self._clock = clock
        self._entropy = entropy
        self._claims = asyncio.Lock()

    async def reconcile(self, ref: Ref) -> Plan:
        """Do one pass, and return what was done: the caller comes back after ``wake_after`` at the latest.

        One CallCluster takes one pass at a time: the caller sees to that. An object that is gone or going
        gets an empty plan.

        Raises:
            InvalidObjectError: the API server refuses an object; the status says so.
            ClusterError: worth another try after a while.
        """
        callcluster = await self._cluster.get(ref)
        if callcluster is None or "deletionTimestamp" in callcluster["metadata"]:
            return Plan()
        observed = await gather(
            self._cluster,
            self._nodes,
            self._reports,
            self._platform,
            callcluster,
            now=self._clock(),
            entropy=self._entropy(),
        )
        planned = plan(observed)
        if not _makes_pods(planned, observed):
            return await self._execute(planned, observed)
        # New pods claim host ports. What others claimed is read again under the lock, so that two
        # CallClusters never pick the same ones.
        async with self._claims:
            observed = dataclasses.replace(observed, neighbours=await neighbours_of(self._cluster, ref))
            return await self._execute(plan(observed), observed)

    async def reconcile_orphan(self, ref: Ref) -> Plan:
        """Look after a room whose CallCluster does not exist; any other room gets an empty plan.

        Raises:
            ClusterError: worth another try after a while.
        """
        room = await self._cluster.get(ref)
        if room is None or await self._cluster.get(owner_of(room)) is not None:
            return Plan()
        planned = plan_orphan(room, self._clock())
        try:
            await execute(self._cluster, self._reports, planned, None)
        except ConflictError:
            return dataclasses.replace(planned, wake_after=CONFLICT_SECONDS)
        return planned

    async def tear_down(self, ref: Ref) -> int:
        """Delete what a CallCluster owns; returns how many objects were left to go.

        Deployments go first, which would make their pods again, then all pods, then what these read. Where
        there is a garbage collector, it does the same by owner references, later and in no order.

        Raises:
            ClusterError: worth another try after a while.
        """
        callcluster = await self._cluster.get(ref)
        if callcluster is None:
            return 0
        children = await children_of(self._cluster, ref)
        owned = _owned(callcluster, children)
        for child_ref in sorted(reversed(owned), key=lambda ref: ref.kind != DEPLOYMENT):
            meta = children[child_ref]["metadata"]
            if "deletionTimestamp" not in meta:
                await self._cluster.delete(child_ref, uid=meta["uid"])
        return len(owned)

    async def _execute(self, planned: Plan, observed: Observed) -> Plan:
        keys = control_keys(observed.children, ref_of(observed.callcluster).name)
        try:
            await execute(self._cluster, self._reports, planned, keys)
        except ConflictError:
            return dataclasses.replace(planned, wake_after=CONFLICT_SECONDS)
        except InvalidObjectError as error:
            told = Plan(refused_steps(observed.callcluster, str(error), observed.now))
            try:
                await execute(self._cluster, self._reports, told, keys)
            except ConflictError:
                pass  # the next try says it
            raise
        return planned


def _owned(callcluster: Object, children: Mapping[Ref, Object]) -> list[Ref]:
    """Those children that the CallCluster made, and what they made: labels alone prove nothing."""
    owners = {callcluster["metadata"]["uid"]}
    owned: list[Ref] = []
    # A Deployment comes before its pods in the order of the children.
    for ref, child in children.items():
        if any(owner["uid"] in owners for owner in child["metadata"].get("ownerReferences", ())):
            owners.add(child["metadata"]["uid"])
            owned.append(ref)
    return owned


def _makes_pods(planned: Plan, observed: Observed) -> bool:
    return any(
        isinstance(step, Apply)
        and step.manifest["kind"] == POD.kind
        and ref_of(step.manifest) not in observed.children
        for step in planned.steps
    )
