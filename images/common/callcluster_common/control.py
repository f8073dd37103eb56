"""The control port: one small HTTP server in every workload pod.

``/healthz``, ``/readyz`` and ``/metrics`` are open inside the cluster; of a pod on the host network only
``/healthz`` is. All other routes need a bearer token of the CallCluster's control key set; without a key
set they answer 503, so that a pod without its Secret stays closed.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from callcluster_common.keyset import KeySet
from callcluster_common.reports import Report

DEFAULT_PORT = 9090

OPEN_IN_CLUSTER = frozenset({"/healthz", "/readyz", "/metrics"})
OPEN_ON_HOST = frozenset({"/healthz"})
"""Whoever reaches the node reaches its host network: only liveness, for the kubelet."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Check = Callable[[], str | None]
"""Returns ``None`` when all is well, otherwise what is wrong, in words for an operator."""


class ControlServer:
    """Serves health, readiness, metrics and the protected routes of one process.

    Args:
        alive: liveness; must not depend on other services.
        ready: readiness.
        report: makes the load report of ``GET /report``.
        metrics: registry of ``GET /metrics``.
        tokens: the control key set in force, ``None`` before it was read.
        drain: called by ``POST /drain``; must return at once and drain in the background.
        open_routes: paths that need no token.
    """

    def __init__(
        self,
        *,
        alive: Check,
        ready: Check,
        report: Callable[[], Report],
        metrics: CollectorRegistry,
        tokens: Callable[[], KeySet | None],
        drain: Callable[[], None],
        open_routes: frozenset[str] = OPEN_IN_CLUSTER,
    ) -> None:
        self._tokens = tokens
        self._open_routes = open_routes
        self._app = web.Application(middlewares=[self._guard])
        self._app.router.add_get("/healthz", self._check(alive))
        self._app.router.add_get("/readyz", self._check(ready))

        async def get_metrics(_: web.Request) -> web.Response:
            return web.Response(
                body=generate_latest(metrics), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
            )

        async def get_report(_: web.Request) -> web.Response:
            return web.Response(body=msgspec.json.encode(report()), content_type="application/json")

        async def post_drain(_: web.Request) -> web.Response:
            drain()
            return web.Response(status=202, text="draining\n")

        self._app.router.add_get("/metrics", get_metrics)
        self._app.router.add_get("/report", get_report)
        self._app.router.add_post("/drain", post_drain)
        self._runner = web.AppRunner(self._app, access_log=None, handle_signals=False)

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Add a protected route; call before :meth:`start`."""
        self._app.router.add_route(method, path, handler)

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (useful with ``port=0``).

        Raises:
            OSError: the address is taken or not this machine's.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port and all connections."""
        await self._runner.cleanup()

    @staticmethod
    def _check(check: Check) -> Handler:
        async def respond(_: web.Request) -> web.StreamResponse:
            problem = check()
            return web.Response(status=503 if problem else 200, text=f"{problem or 'ok'}\n")

        return respond

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in self._open_routes:
            keyset = self._tokens()
            if keyset is None:
                return web.Response(status=503, text="no control key set yet\n")
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            # Bytes that are no UTF-8 stand in a header as surrogates.
            given = token.encode(errors="surrogateescape")
            # Every key is compared, so that the time tells nothing about which one was close.
            matches = [hmac.compare_digest(given, key.secret.encode()) for key in keyset.keys]
            if scheme.lower() != "bearer" or not any(matches):
                return web.Response(
                    status=401,
                    text="bearer token wanted\n",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        return await handler(request)
