"""Keeps the reconciler going over the in-memory store: what kopf's daemons do on a cluster."""

from __future__ import annotations

import asyncio
import logging

from callcluster_operator.cluster import Cluster, ClusterError
from callcluster_operator.kube.gather import owner_of
from callcluster_operator.local import occupied
from callcluster_operator.objects import CALL_CLUSTER, ROOM, ref_of
from callcluster_operator.reconciler import Reconciler

logger = logging.getLogger(__name__)

RESYNC_SECONDS = 2.0
"""Load reports change without an event. Asking a few processes on this machine costs next to nothing."""
ERROR_SECONDS = 1.0


class Controller:
    """Reconciles the CallClusters and Rooms of one namespace, again after each change."""

    def __init__(self, cluster: Cluster, reconciler: Reconciler, namespace: str) -> None:
        self._cluster = cluster
        self._reconciler = reconciler
        self._namespace = namespace
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may have changed."""
        self._woken.set()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            self._woken.clear()
            try:
                pause = await self._reconcile()
            except ClusterError as error:
                logger.warning("reconciling failed: %s", error)
                pause = ERROR_SECONDS
            try:
                # Not wait_for: on Python 3.11 it swallows a cancellation that comes with the event.
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                pass  # time for a look of our own

    async def _reconcile(self) -> float:
        """One pass over all; returns after how many seconds the next is due."""
        await occupied.note(self._cluster, self._namespace)
        callclusters = [
            ref_of(each) for each in await self._cluster.list(CALL_CLUSTER, namespace=self._namespace)
        ]
        rooms = await self._cluster.list(ROOM, namespace=self._namespace)
        orphans = [ref_of(room) for room in rooms if owner_of(room) not in callclusters]
        plans = [await self._reconciler.reconcile(callcluster) for callcluster in callclusters]
        plans += [await self._reconciler.reconcile_orphan(orphan) for orphan in orphans]
        return min([RESYNC_SECONDS, *(plan.wake_after for plan in plans if plan.wake_after is not None)])
