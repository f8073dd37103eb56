"""What the operator tells of itself: metrics, health and readiness, on one HTTP port."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from callcluster_operator.cluster import ClusterError, InvalidObjectError

WRITING_VERBS = frozenset({"apply", "delete", "status"})
"""Verbs of API calls that change CallClusters, their children or Rooms."""


class Telemetry:
    """The operator's metrics. Labels are verbs, outcomes and kinds of object, never names."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = Counter(
            "callcluster_operator_reconciles",
            "Passes over a CallCluster.",
            ["result"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "callcluster_operator_reconcile_seconds", "Duration of a pass.", registry=self.registry
        )
        self._calls = Counter(
            "callcluster_operator_api_calls",
            "Requests to the API server.",
            ["verb", "outcome"],
            registry=self.registry,
        )
        self._writes = Counter(
            "callcluster_operator_writes",
            "Requests that wanted to change an object other than the lease.",
            registry=self.registry,
        )
        self.leader = Gauge(
            "callcluster_operator_leader", "1 on the replica that acts.", registry=self.registry
        )

    def count_call(self, verb: str, outcome: str) -> None:
        """Count a request to the API server."""
        self._calls.labels(verb, outcome).inc()
        if verb in WRITING_VERBS:
            self._writes.inc()

    def count_lease_call(self, verb: str, outcome: str) -> None:
        """Count a request of the election, apart from those that change anything."""
        self._calls.labels(f"lease-{verb}", outcome).inc()

    @contextmanager
    def reconcile(self) -> Iterator[None]:
        """Count and time a pass; errors go through."""
        began = time.perf_counter()
        result = "error"
        try:
            yield
            result = "ok"
        except InvalidObjectError:
            result = "refused"
            raise
        except ClusterError:
            result = "retry"
            raise
        finally:
            self._reconciles.labels(result).inc()
            self._seconds.observe(time.perf_counter() - began)


class HealthServer:
    """``/healthz``, ``/readyz`` and ``/metrics``.

    Args:
        registry: of ``/metrics``.
        alive: whether the process does what it should; a process that does not is restarted.
    """

    def __init__(self, registry: CollectorRegistry, alive: Callable[[], bool]) -> None:
        async def metrics(_: web.Request) -> web.Response:
            headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
            return web.Response(body=generate_latest(registry), headers=headers)

        async def health(_: web.Request) -> web.Response:
            is_alive = alive()
            return web.Response(status=200 if is_alive else 503, text="ok\n" if is_alive else "stuck\n")

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        app.router.add_get("/healthz", health)
        # A replica that waits for the lease is as ready as the one that has it.
        app.router.add_get("/readyz", health)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port.

        Raises:
            OSError: the address is taken or not this machine's.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()
