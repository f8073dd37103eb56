"""Puts the process together: the port for clients, the control port, followed files, timers."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from callcluster_common import directive, keyset, watched_file
from callcluster_common.bus import TOUCH_SECONDS, Bus
from callcluster_common.bus.choice import make_bus
from callcluster_common.control import ControlServer
from callcluster_common.messages.types import (
    MAX_FRAME_BYTES,
    SUBPROTOCOL,
    CloseCode,
)
from callcluster_common.reports import SignalingReport
from websockets.asyncio.server import Server, ServerConnection, serve

from callcluster_signaling import drain, metrics
from callcluster_signaling.allowance import Rates
from callcluster_signaling.connection import MeteredConnection
from callcluster_signaling.handshake import Handshakes, address_of, offered_token, select_subprotocol
from callcluster_signaling.hub import Hub
from callcluster_signaling.limits import Doorkeeper
from callcluster_signaling.links import CLOSE_SECONDS
from callcluster_signaling.pod import Pod
from callcluster_signaling.session import Policy
from callcluster_signaling.settings import Settings
from callcluster_signaling.site import Site

log = logging.getLogger(__name__)

_quiet = logging.getLogger(f"{__name__}.sockets")
_quiet.setLevel(logging.CRITICAL)
"""The library's own records quote requests, and with them what clients put there."""

VERSION = "0.1.0"
TICK_SECONDS = 0.25
MAX_LAG_SECONDS = 5.0

T = TypeVar("T")


class PortError(Exception):
    """A port can't be listened on; the message says which setting to change."""

    def __init__(self, setting: str, port: int, error: OSError) -> None:
        reason = error.strerror or error
        super().__init__(f"{setting} {port} can't be used: {reason}; free it or set another {setting}")


class SignalingServer:
    """One signaling process."""

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self._settings = settings
        self.bus = bus
        self.pod = Pod(
            Policy(
                settings.jwt_secret,
                settings.guest_access,
                settings.resume_window_seconds,
                Rates(settings.messages_per_second, settings.bytes_per_second),
                settings.allowances_per_subject,
                settings.allowances_per_guest_address,
            ),
            bus,
            settings.room_salt,
        )
        self.hub = Hub(self.pod)
        self._drained: asyncio.Task[None] | None = None
        self._door = Doorkeeper(settings.sockets_per_address)
        self._handshakes = Handshakes(
            Site(settings.web_root),
            self._door,
            settings.cors_origins,
            self.pod.counts,
            draining=lambda: self._drained is not None,
            now=self.pod.now,
        )
        self._lag = 0.0
        self._broken = False
        self._control_keys: keyset.KeySet | None = None
        self._background: list[asyncio.Task[None]] = []
        self._server: Server
        self.control = ControlServer(
            alive=self._alive,
            ready=self._ready,
            report=self.report,
            metrics=metrics.registry(self.pod.counts, self._gauges),
            tokens=lambda: self._control_keys,
            drain=self.drain,
        )

    async def start(self) -> None:
        """Listen.

        Raises:
            PortError: a port is taken.
        """
        settings = self._settings
        try:
            sock = listening(settings.port, settings.listen_host)
        except OSError as error:
            raise PortError("PORT", settings.port, error) from None
        await self.bus.start(self.pod.id, self.hub)
        connection = partial(MeteredConnection, counts=self.pod.counts, rates=self.pod.policy.rates)
        self._server = await serve(
            self._handle,
            sock=sock,
            backlog=1024,
            process_request=self._handshakes.process,
            select_subprotocol=select_subprotocol,
            # The library calls it, no more.
            create_connection=cast("type[ServerConnection]", connection),
            compression=None,
            max_size=2 * MAX_FRAME_BYTES,
            max_queue=16,
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
            open_timeout=5.0,
            server_header=None,
            logger=_quiet,
        )
        try:
            control = await self.control.start(settings.control_host, settings.control_port)
        except OSError as error:
            raise PortError("CONTROL_PORT", settings.control_port, error) from None
        for work in (
            self._tick(),
            self._follow(settings.control_keys_file, keyset.parse, self._take_control_keys),
            self._follow(settings.turn_keys_file, keyset.parse, self.pod.follow_keyset),
            self._follow(settings.directive_file, directive.parse, self.pod.follow_directive),
        ):
            task = asyncio.create_task(work)
            task.add_done_callback(self._stopped)
            self._background.append(task)
        port = next(iter(self._server.sockets)).getsockname()[1]
        fields = {"port": port, "control": control, "pod": settings.pod_name, "id": self.pod.id}
        log.info("serving", extra={"fields": fields})

    def drain(self) -> None:
        """Ask clients to go elsewhere, over a while, and take no new ones. Returns at once."""
        if self._drained is None:
            log.info("draining", extra={"fields": {"connections": len(self.pod.open_links)}})
            self._drained = asyncio.create_task(drain.run(self.pod, self._settings.drain_spread_seconds))

    async def drained(self) -> None:
        """Wait for the drain to be over."""
        assert self._drained is not None
        await asyncio.shield(self._drained)

    async def stop(self) -> None:
        """Close what is still open and stop; members keep their places, to resume elsewhere."""
        for task in self._background:
            task.cancel()
        self._server.close(code=CloseCode.DRAIN, reason="this server stops")
        await self._server.wait_closed()
        await self.pod.settle()
        await self.control.stop()
        await self.bus.stop()

    # The port for clients

    async def _handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, MeteredConnection)
        address = address_of(connection)
        offered = offered_token(connection.request)
        # They take kilobytes for as long as the socket lives, and may hold a token.
        for part in (connection.request, connection.response):
            if part is not None:
                part.headers.clear()

        def settled() -> None:
            connection.settled = True
            self._door.settle(address)

        self._door.enter(address)
        try:
            if connection.subprotocol == SUBPROTOCOL:
                await self.hub.serve(connection, offered, settled)
            else:
                await self._refuse_version(connection, settled)
        finally:
            self._door.leave(address)

    async def _refuse_version(self, connection: ServerConnection, settled: Callable[[], None]) -> None:
        self.pod.counts.close(CloseCode.UNSUPPORTED_VERSION)
        try:
            await connection.close(CloseCode.UNSUPPORTED_VERSION, f"this server speaks {SUBPROTOCOL}")
        finally:
            settled()

    # The control port

    def _stopped(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)
            self._broken = True

    def _alive(self) -> str | None:
        if self._broken or self.bus.broken:
            return "background work has failed"
        return f"the event loop lags by {self._lag:.1f} s" if self._lag > MAX_LAG_SECONDS else None

    def _ready(self) -> str | None:
        return "draining" if self._drained is not None else self.bus.trouble

    def report(self) -> SignalingReport:
        """Load, for the operator."""
        pod = self.pod
        return SignalingReport(
            version=VERSION,
            draining=self._drained is not None,
            sessions=len(pod.links),
            rooms={room.opaque: len(room.positions) for room in pod.rooms if room.positions},
            key_set=keyset.fingerprint(pod.keyset) if pod.keyset else "",
            directive=directive.fingerprint(pod.directive) if pod.directive else "",
            bus_up=self.bus.up,
        )

    def _gauges(self) -> dict[str, float]:
        pod = self.pod
        return {
            "sig_connections": len(pod.open_links),
            "sig_sessions": len(pod.links),
            "sig_participants": sum(len(room.positions) for room in pod.rooms),
            "sig_rooms": len(pod.rooms),
            "sig_rooms_with_sfu": sum(bool(room.sfu) for room in pod.rooms),
            "sig_rooms_without_sfu": sum(room.wants_sfu for room in pod.rooms),
            "sig_bus_up": self.bus.up,
            "sig_bus_probe_rtt_seconds": self.bus.probe_seconds,
            "sig_bus_queue": self.bus.queued,
            "sig_draining": self._drained is not None,
            "sig_loop_lag_seconds": self._lag,
        }

    # Background

    async def _tick(self) -> None:
        touched = self.pod.now()
        while True:
            due = self.pod.now() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            now = self.pod.now()
            self._lag = max(0.0, now - due)
            self.hub.tick(now, self.pod.wall())
            self.pod.rooms.tick(now)
            self.pod.tick(now)
            if now - touched > TOUCH_SECONDS:
                touched = now
                self.bus.touch_sessions(list(self.pod.links))

    def _take_control_keys(self, keys: keyset.KeySet) -> None:
        self._control_keys = keys

    async def _follow(
        self, path: Path | None, parse: Callable[[bytes], T], take: Callable[[T], None]
    ) -> None:
        if path is None:
            return
        async for data in watched_file.contents(path):
            try:
                take(parse(data))
            except ValueError as error:
                # What was in force stays in force.
                log.error(
                    "a file can't be used", extra={"fields": {"file": path.name, "error": str(error)}}
                )


def listening(port: int, host: str = "") -> socket.socket:
    """A socket on ``host``, or on all addresses of this machine, IPv6 included where there is such a thing.

    Raises:
        OSError: the port is taken.
    """
    if host:
        return socket.create_server((host, port))
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT has drained the process; a second signal cuts that short.

    Raises:
        PortError: a port is taken.
    """
    loop = asyncio.get_running_loop()
    asked, forced = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: forced.set() if asked.is_set() else asked.set())
    # Frames come and go in thousands, and form no cycles: look for cycles less often.
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    server = SignalingServer(settings, make_bus(settings.redis_url, "signaling"))
    await server.start()
    await asked.wait()
    server.drain()
    over = asyncio.create_task(server.drained())
    force = asyncio.create_task(forced.wait())
    await asyncio.wait((over, force), return_when=asyncio.FIRST_COMPLETED)
    force.cancel()
    over.cancel()
    await server.stop()
    log.info("stopped")
    return 0
