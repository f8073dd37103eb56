"""``python -m callcluster_operator``: settings, client, lease, and kopf while this replica leads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Iterable

import kopf
from callcluster_common import logs
from callcluster_common.environment import SettingError

from callcluster_operator import handlers
from callcluster_operator.cluster import ClusterError
from callcluster_operator.kube.access import Access, open_access
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.kube.lease import Election
from callcluster_operator.kube.paths import LEASE
from callcluster_operator.objects import Ref
from callcluster_operator.reconciler import Reconciler
from callcluster_operator.settings import Settings, from_env
from callcluster_operator.telemetry import HealthServer, Telemetry
from callcluster_operator.workload.reports import ControlPorts

logger = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Take part in the election and act whenever this replica leads, until SIGTERM or SIGINT.

    Raises:
        ClusterError: there is no way to an API server.
        OSError: the health port is taken.
    """
    telemetry = Telemetry()
    async with contextlib.AsyncExitStack() as stack:
        access = await open_access(settings.kubeconfig)
        stack.push_async_callback(access.close)
        reports = ControlPorts()
        stack.push_async_callback(reports.close)
        election = Election(
            KubeCluster(access.client, on_call=telemetry.count_lease_call),
            Ref(LEASE, settings.lease_namespace, settings.lease_name),
            settings.identity,
            time.monotonic,
        )
        health = HealthServer(telemetry.registry, election.is_alive)
        stack.push_async_callback(health.stop)
        port = await health.start(settings.health_host, settings.health_port)
        logger.info("health and metrics are on port %d", port)
        cluster = KubeCluster(
            access.client,
            namespaces=settings.namespaces,
            may_write=election.leads,
            on_call=telemetry.count_call,
        )
        reconciler = Reconciler(
            cluster,
            reports,
            settings.platform,
            clock=time.time,
            entropy=lambda: secrets.token_bytes(64),
        )
        signalled = asyncio.Event()
        _take_signals(signalled)
        while not signalled.is_set():
            await _first(election.acquire(), signalled.wait())
            if not signalled.is_set():
                logger.info("this replica leads")
                telemetry.leader.set(1)
                work = handlers.Handlers(reconciler, telemetry)
                await _lead(settings, access, election, work, signalled)
                telemetry.leader.set(0)
                logger.info("this replica leads no more")
        await election.release()
    # kopf leaves its watches to the closing loop, which would log how each of them ends.
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)


async def _lead(
    settings: Settings,
    access: Access,
    election: Election,
    work: handlers.Handlers,
    signalled: asyncio.Event,
) -> None:
    """Run kopf until the lease is lost or a signal asks us to stop."""
    ready, stop = asyncio.Event(), asyncio.Event()

    async def watch() -> None:
        try:
            await _first(election.hold(), signalled.wait())
        finally:
            stop.set()

    async def take_signals_back() -> None:
        # Stopped by a signal of its own, kopf would wait 5 s for one of its tasks.
        await ready.wait()
        _take_signals(signalled)

    async def log_in(**_: object) -> kopf.ConnectionInfo:
        return await _connection(access)

    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, id="log-in")(log_in)
    work.register(registry)
    kopf_settings = kopf.OperatorSettings()
    handlers.configure(kopf_settings, namespaced=bool(settings.namespaces))
    # Made before kopf starts: it cancels every task that is made after.
    works = (watch(), take_signals_back(), work.look_after_orphans())
    tasks = [asyncio.create_task(each) for each in works]
    for task in tasks:
        task.add_done_callback(lambda ended: None if _went_well(ended) else stop.set())
    try:
        await kopf.operator(
            registry=registry,
            settings=kopf_settings,
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            ready_flag=ready,
            stop_flag=stop,
        )
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    _raise_any(outcomes)
    if not stop.is_set():  # the signal came before kopf was ready
        signalled.set()


def _take_signals(signalled: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)


async def _first(*works: Awaitable[object]) -> None:
    """Wait for the first of several; the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    _raise_any(outcomes)


def _raise_any(outcomes: Iterable[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


def _went_well(ended: asyncio.Task[None]) -> bool:
    return ended.cancelled() or ended.exception() is None


async def _connection(access: Access) -> kopf.ConnectionInfo:
    """Lets kopf log in as our own client does; kopf asks again when it is refused."""
    credentials = await access.credentials()
    return kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=credentials.ca_path,
        insecure=not credentials.verify,
        scheme=credentials.scheme,
        token=credentials.token,
        certificate_path=credentials.certificate_path,
        private_key_path=credentials.private_key_path,
    )


def main() -> int:
    """Run the operator; returns the exit code."""
    try:
        settings = from_env(os.environ)
    except SettingError as error:
        print(f"callcluster-operator: {error}", file=sys.stderr)
        return 2
    logs.configure(settings.log_level)
    # It tells of every event, and at DEBUG prints whole objects, with what must never be logged.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    try:
        asyncio.run(run(settings))
    except (ClusterError, OSError) as error:
        logger.error("the operator ends: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
