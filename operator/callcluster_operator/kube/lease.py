"""Leader election on a ``coordination.k8s.io/v1`` Lease: of several replicas, one acts.

Clocks of other machines are never compared with ours: a follower watches whether the Lease *changes*, and
takes over when it has not for :data:`DURATION_SECONDS` of its own clock (so does client-go). The holder
counts from before it sent its last successful renewal, so it always stops before a follower can start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from callcluster_operator.cluster import ClusterError, ConflictError
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.kube.paths import LEASE
from callcluster_operator.objects import Object, Ref

logger = logging.getLogger(__name__)

DURATION_SECONDS = 10.0
"""How long a follower waits for a silent holder. With a look every :data:`RETRY_SECONDS` and the start of
the watches, another replica acts within about 14 s after a holder was killed."""

VALID_SECONDS = 7.0
"""How long a holder may write after it began a renewal that succeeded. What is left until the duration ends
is more than ``client.WRITE_SECONDS``, so that its last write is over by then."""

RETRY_SECONDS = 2.0
STUCK_SECONDS = 30.0


class Election:
    """One replica's part in the election.

    Args:
        cluster: where the Lease is; not fenced by the lease itself.
        ref: the Lease.
        identity: unique to this process.
        clock: monotonic seconds.
    """

    def __init__(self, cluster: KubeCluster, ref: Ref, identity: str, clock: Callable[[], float]) -> None:
        assert ref.kind == LEASE
        self._cluster = cluster
        self._ref = ref
        self._identity = identity
        self._clock = clock
        self._valid_until = float("-inf")
        self._seen_version = ""
        self._seen_at = float("-inf")
        self._attempted_at = clock()

    def leads(self) -> bool:
        """Whether this replica may write at this very moment."""
        return self._clock() < self._valid_until

    def is_alive(self) -> bool:
        """Whether this replica still takes part; one that does not is stuck."""
        return self._clock() - self._attempted_at < STUCK_SECONDS

    async def acquire(self) -> None:
        """Wait until this replica leads."""
        while not await self.attempt():
            await asyncio.sleep(RETRY_SECONDS)

    async def hold(self) -> None:
        """Keep renewing; returns when the lease is lost."""
        while self.leads():
            await asyncio.sleep(min(RETRY_SECONDS, max(0.0, self._valid_until - self._clock())))
            await self.attempt()

    async def attempt(self) -> bool:
        """Take or renew the lease if that is allowed; returns whether this replica leads now."""
        began = self._attempted_at = self._clock()
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                lease = await self._take()
        except ConflictError:
            return self.leads()
        except (ClusterError, TimeoutError) as error:
            logger.warning("the lease can't be renewed: %s", str(error) or "no answer in time")
            return self.leads()
        if lease is None:
            self._valid_until = float("-inf")
            return False
        self._seen_version = lease["metadata"]["resourceVersion"]
        self._seen_at = began
        self._valid_until = began + VALID_SECONDS
        return True

    async def release(self) -> None:
        """Let another replica take over at once."""
        self._valid_until = float("-inf")
        try:
            lease = await self._cluster.get(self._ref)
            if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"]["holderIdentity"] = ""
                await self._cluster.replace(lease)
        except ClusterError as error:
            logger.warning("the lease is not released, another replica waits for its end: %s", error)

    async def _take(self) -> Object | None:
        lease = await self._cluster.get(self._ref)
        if lease is None:
            return await self._cluster.create(self._claimed(None))
        if not self._may_take(lease):
            return None
        return await self._cluster.replace(self._claimed(lease))

    def _may_take(self, lease: Object) -> bool:
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen_version:
            self._seen_version = version
            self._seen_at = self._clock()
        holder = lease.get("spec", {}).get("holderIdentity")
        return holder in (None, "", self._identity) or self._clock() - self._seen_at >= DURATION_SECONDS

    def _claimed(self, lease: Object | None) -> Object:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        previous = lease.get("spec", {}) if lease else {}
        is_ours = previous.get("holderIdentity") == self._identity
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": (
                lease["metadata"] if lease else {"name": self._ref.name, "namespace": self._ref.namespace}
            ),
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(DURATION_SECONDS),
                "acquireTime": previous.get("acquireTime", now) if is_ours else now,
                "renewTime": now,
                "leaseTransitions": previous.get("leaseTransitions", 0) + (0 if is_ours else 1),
            },
        }
