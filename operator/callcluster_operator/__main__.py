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
from collections.abc import Awaitable

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
        is_stopped = False
        while not is_stopped:
            is_stopped = await _stopped_before(election.acquire())
            if not is_stopped:
                logger.info("this replica leads")
                telemetry.leader.set(1)
                is_stopped = await _lead(
                    settings, access, election, handlers.Handlers(reconciler, telemetry)
                )
                telemetry.leader.set(0)
                logger.info("this replica leads no more")
        await election.release()


async def _lead(settings: Settings, access: Access, election: Election, work: handlers.Handlers) -> bool:
    """Run kopf until the lease is lost, or (``True``) a signal asks us to stop."""
    lost = asyncio.Event()

    async def hold() -> None:
        await election.hold()
        lost.set()

    async def log_in(**_: object) -> kopf.ConnectionInfo:
        return await _connection(access)

    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(log_in)
    work.register(registry)
    kopf_settings = kopf.OperatorSettings()
    handlers.configure(kopf_settings, namespaced=bool(settings.namespaces))
    # These two exist before kopf starts: kopf cancels every task that was made after.
    holder = asyncio.create_task(hold())
    orphans = asyncio.create_task(work.look_after_orphans())
    try:
        await kopf.operator(
            registry=registry,
            settings=kopf_settings,
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            stop_flag=lost,
        )
    finally:
        for task in (holder, orphans):
            task.cancel()
        await asyncio.gather(holder, orphans, return_exceptions=True)
    return not lost.is_set()


async def _stopped_before(work: Awaitable[None]) -> bool:
    """Wait for ``work``, or for SIGTERM or SIGINT; whether the signal came first."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled.set)
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(signalled.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return signalled.is_set()


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
    try:
        asyncio.run(run(settings))
    except (ClusterError, OSError) as error:
        logger.error("the operator can't start: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
