"""What kopf calls: one daemon per CallCluster does the work, everything else only wakes it.

No handler acts on what an event says. Events may be lost, doubled or late; the daemon reads the world anew
each time, and looks by itself every :data:`RESYNC_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import kopf

from callcluster_operator.cluster import ClusterError, InvalidObjectError
from callcluster_operator.kube.gather import owner_of
from callcluster_operator.kube.paths import plural_of
from callcluster_operator.objects import CALL_CLUSTER, CHILD_KINDS, GROUP, ROOM, Kind, Ref, ref_of
from callcluster_operator.plan import Plan
from callcluster_operator.planning import names
from callcluster_operator.reconciler import Reconciler
from callcluster_operator.telemetry import Telemetry

logger = logging.getLogger(__name__)

RESYNC_SECONDS = 10.0
"""Load is read from the pods, which send no events: this is also how fast the operator sees it."""

SETTLE_SECONDS = 0.1
"""Events come in bursts: one pass answers them all."""

MAX_BACKOFF_SECONDS = 30.0
GONE_POLL_SECONDS = 0.1
STOP_POLL_SECONDS = 0.5
"""How often kopf looks whether the last pass over a CallCluster that goes has ended."""

FINALIZER = f"{GROUP}/children"
"""Keeps a CallCluster until its children are gone."""


class Handlers:
    """Leads kopf's events to a reconciler.

    Args:
        reconciler: does the passes.
        telemetry: counts them.
    """

    def __init__(self, reconciler: Reconciler, telemetry: Telemetry) -> None:
        self._reconciler = reconciler
        self._telemetry = telemetry
        self._wakes: dict[Ref, asyncio.Event] = {}
        self._rooms: dict[Ref, Ref] = {}
        self._rooms_wake = asyncio.Event()

    def register(self, registry: kopf.OperatorRegistry) -> None:
        """Tell kopf what to call."""
        callclusters = (GROUP, plural_of(CALL_CLUSTER))
        kopf.daemon(*callclusters, registry=registry, cancellation_polling=STOP_POLL_SECONDS)(self.follow)
        kopf.on.event(*callclusters, registry=registry)(self.see_callcluster)
        # The filter keeps kopf from storing what it saw last in an annotation of every CallCluster.
        kopf.on.delete(*callclusters, registry=registry, when=_is_going)(self.tear_down)
        kopf.on.event(GROUP, plural_of(ROOM), registry=registry)(self.see_room)
        for kind in CHILD_KINDS:
            selector = {names.MANAGED_BY_LABEL: names.MANAGER}
            kopf.on.event(*_resource(kind), registry=registry, labels=selector)(self.see_child)

    async def follow(self, name: str, namespace: str | None, stopped: kopf.DaemonStopped, **_: Any) -> None:
        """Daemon of one CallCluster: ends when the object goes or this replica stops leading."""
        ref = Ref(CALL_CLUSTER, namespace or "", name)
        wake = self._wakes[ref] = asyncio.Event()
        stopper = asyncio.ensure_future(stopped.wait())
        stopper.add_done_callback(lambda _: wake.set())
        failures = 0
        try:
            while not stopped:
                wake.clear()
                try:
                    with self._telemetry.reconcile():
                        plan = await self._reconciler.reconcile(ref)
                except ClusterError as error:
                    failures += 1
                    level = logging.ERROR if isinstance(error, InvalidObjectError) else logging.WARNING
                    logger.log(level, "%s: try %d failed: %s", ref, failures, error)
                    # Events don't shorten this: our own half-done writes cause some.
                    await stopped.wait(min(2.0 ** (failures - 1), MAX_BACKOFF_SECONDS))
                else:
                    failures = 0
                    if not plan.is_empty:
                        logger.info("%s: %s", ref, _summary(plan))
                    await _pause(wake, plan.wake_after)
                    await stopped.wait(SETTLE_SECONDS)
        finally:
            stopper.cancel()
            del self._wakes[ref]

    async def tear_down(self, name: str, namespace: str | None, **_: Any) -> None:
        """Delete a CallCluster's children; kopf lets the CallCluster go when this returns."""
        ref = Ref(CALL_CLUSTER, namespace or "", name)
        try:
            while ref in self._wakes:  # the daemon ends its last pass first
                await asyncio.sleep(GONE_POLL_SECONDS)
            while await self._reconciler.tear_down(ref):
                await asyncio.sleep(GONE_POLL_SECONDS)
        except ClusterError as error:
            logger.warning("%s: its children can't be deleted yet: %s", ref, error)
            raise kopf.TemporaryError("the children can't be deleted yet", delay=2.0) from None
        self._rooms_wake.set()

    async def see_callcluster(self, name: str | None, namespace: str | None, **_: Any) -> None:
        """Wake the daemon for a changed spec."""
        self._wake(Ref(CALL_CLUSTER, namespace or "", name or ""))

    async def see_child(self, namespace: str | None, labels: Mapping[str, str], **_: Any) -> None:
        """Wake whom a child belongs to."""
        self._wake(Ref(CALL_CLUSTER, namespace or "", labels.get(names.INSTANCE_LABEL, "")))

    async def see_room(self, body: kopf.Body, event: Mapping[str, Any], **_: Any) -> None:
        """Wake the CallCluster of a room."""
        ref, owner = ref_of(dict(body)), owner_of(dict(body))
        if event["type"] == "DELETED":
            self._rooms.pop(ref, None)
        else:
            self._rooms[ref] = owner
        self._wake(owner)
        if owner not in self._wakes:
            self._rooms_wake.set()

    async def look_after_orphans(self) -> None:
        """Serve the rooms whose CallCluster does not exist; never returns."""
        while True:
            self._rooms_wake.clear()
            for ref in [ref for ref, owner in self._rooms.items() if owner not in self._wakes]:
                try:
                    await self._reconciler.reconcile_orphan(ref)
                except ClusterError as error:
                    logger.warning("%s without a CallCluster can't be updated: %s", ref, error)
            await _pause(self._rooms_wake, None)
            await asyncio.sleep(SETTLE_SECONDS)

    def _wake(self, ref: Ref) -> None:
        if ref in self._wakes:
            self._wakes[ref].set()


def _summary(plan: Plan) -> str:
    done = Counter(type(step).__name__ for step in plan.steps)
    return ", ".join(f"{name} {count}" for name, count in done.items())


async def _pause(wake: asyncio.Event, seconds: float | None) -> None:
    """Wait for an event, or ``seconds``, or the resync, whichever comes first."""
    limit = RESYNC_SECONDS if seconds is None else min(seconds, RESYNC_SECONDS)
    try:
        async with asyncio.timeout(limit):
            await wake.wait()
    except TimeoutError:
        pass  # time for a look of our own


def _is_going(meta: kopf.Meta, **_: Any) -> bool:
    return meta.deletion_timestamp is not None


def _resource(kind: Kind) -> tuple[str, str, str]:
    """The kind as kopf's selectors take it: group, version, plural."""
    group, _, version = kind.api_version.rpartition("/")
    return (group, version, plural_of(kind))


def configure(settings: kopf.OperatorSettings, *, namespaced: bool) -> None:
    """Set kopf up: own names, no Events, no cluster-wide scans where only some namespaces may be read."""
    settings.persistence.finalizer = FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(
        prefix=GROUP, key="last-handled"
    )
    settings.background.instant_exit_timeout = 0.5
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = namespaced
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    # A watch that a load balancer has silently dropped is noticed by its missing bookmarks.
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 70
    settings.watching.server_timeout = 600
    settings.watching.chunk_size = 500
    settings.process.ultimate_exiting_timeout = 30
    for kind in CHILD_KINDS:
        settings.watching.label_selectors[_resource(kind)] = f"{names.MANAGED_BY_LABEL}={names.MANAGER}"
