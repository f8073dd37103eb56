"""Puts the process together: the packet plane, the bus, the rooms, the control port, timers."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from collections.abc import Coroutine, Mapping
from typing import Any, assert_never

from callcluster_common import keyset, watched_file
from callcluster_common.bus import Bus, UnavailableError
from callcluster_common.bus.redis import RedisBus
from callcluster_common.control import OPEN_ON_HOST, ControlServer
from callcluster_common.keyset import KeySet, KeySetError
from callcluster_common.reports import SFUReport

from callcluster_sfu import identity, metrics
from callcluster_sfu.health import Credentials, Health
from callcluster_sfu.metrics import Counts
from callcluster_sfu.negotiation import HostAddress, Policy
from callcluster_sfu.plane import (
    Connected,
    Disconnected,
    EncodingLive,
    Failed,
    News,
    PacketPlane,
    PlaneError,
    Refused,
)
from callcluster_sfu.rooms.service import Limits, Service
from callcluster_sfu.sdp.values import Fingerprint
from callcluster_sfu.settings import Settings, addresses_in

log = logging.getLogger(__name__)

VERSION = "0.1.0"
TICK_SECONDS = 1.0
MAX_LAG_SECONDS = 5.0
POLL_SECONDS = 0.1


class StartError(Exception):
    """A port can't be used; the message says which setting to change."""


class SFUServer:
    """One SFU process."""

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self._settings = settings
        self._bus = bus
        self._pod = secrets.token_urlsafe(9)
        """New for every process: a restarted one has none of its predecessor's seats."""
        self._counts = Counts()
        self._statistics: Mapping[str, int] = {}
        self._lag = 0.0
        self._control_keys: KeySet | None = None
        self._background: list[asyncio.Task[None]] = []
        self._fingerprint: Fingerprint
        self._ports: dict[str, int]
        self._plane: PacketPlane
        self._health: Health
        self.service: Service
        self.failed = asyncio.Event()
        """The plane or background work has failed: only a new process helps."""
        self._control = ControlServer(
            alive=self._alive,
            ready=self._ready,
            report=self._report,
            metrics=metrics.registry(self._counts, self._gauges, lambda: self._statistics),
            tokens=lambda: self._control_keys,
            drain=self.drain,
            open_routes=OPEN_ON_HOST,
        )

    async def start(self) -> None:
        """Bind the ports; no room is taken before :meth:`serve`.

        Raises:
            StartError: a port can't be used.
        """
        settings, credentials, own = self._settings, Credentials(), identity.make()
        try:
            self._plane = PacketPlane(
                settings.listen_host,
                settings.port,
                identity=own,
                health=credentials,
                buffer_bytes=settings.socket_buffer_bytes,
                max_peers=settings.max_participants,
                on_news=self._take_news,
            )
        except PlaneError as error:
            raise StartError(
                f"SFU_HOST and SFU_PORT {settings.port} can't be used: {error}; free it or set another one"
            ) from None
        self._fingerprint = own.fingerprint
        self.service = Service(
            self._bus,
            self._plane,
            pod=self._pod,
            limits=Limits(settings.max_rooms, settings.max_participants),
            counts=self._counts,
            own=bool(settings.own_room),
        )
        self._health = Health(settings.listen_host, self._plane.port, credentials)
        try:
            control = await self._control.start(settings.control_host, settings.control_port)
        except OSError as error:
            self._plane.close()
            raise StartError(
                f"CONTROL_PORT {settings.control_port} can't be used: {error.strerror}; "
                "free it or set another one"
            ) from None
        await self._bus.start(self._pod, self.service)
        work = (
            self._listen(),
            self._tick(),
            self._count(),
            self._health.watch(),
            self._follow_control_keys(),
        )
        for each in work:
            task = asyncio.create_task(each)
            task.add_done_callback(self._stopped)
            self._background.append(task)
        self._ports = {"port": self._plane.port, "control": control}

    async def serve(self) -> None:
        """Take rooms, as soon as it is known where clients reach the UDP port.

        Raises:
            SettingError: the file of addresses holds what are none.
        """
        settings = self._settings
        addresses = settings.addresses
        if settings.addresses_file is not None:
            log.info("waiting for the address that clients are to use")
            async for data in watched_file.contents(settings.addresses_file):
                if text := data.decode(errors="replace").strip():
                    addresses = addresses_in(text, settings.listen_host, "SFU_ADDRESSES_FILE")
                    break
        candidates = tuple(HostAddress(address, self._plane.port) for address in addresses)
        self.service.policy = Policy(candidates, self._fingerprint)
        log.info("serving", extra={"fields": {**self._ports, "pod": settings.pod_name, "id": self._pod}})

    def drain(self) -> None:
        """Let others take the rooms, and go on forwarding. Returns at once."""
        if not self.service.draining:
            fields = {"rooms": self.service.rooms, "participants": self.service.participants}
            log.info("draining", extra={"fields": fields})
            self.service.drain()

    async def drained(self) -> None:
        """Wait until a drain has nobody left to forward for."""
        while not self.service.idle:
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """End every call that is left, give up the seats, and free the ports."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.service.stop()
        self._plane.close()
        await self._control.stop()
        await self._bus.stop()

    # The plane

    def _take_news(self, news: News) -> None:
        match news:
            case Connected():
                self._counts.handshakes += 1
            case Disconnected(peer, why):
                self._counts.disconnects[why] += 1
                self.service.disconnected(peer)
            case EncodingLive(track, encoding):
                self.service.live(track, encoding)
            case Refused(command, why):
                self.service.refused(command, why)
            case Failed():
                log.error("the packet plane has failed")
                self.failed.set()
            case _:
                assert_never(news)

    # The control port

    def _alive(self) -> str | None:
        if self.failed.is_set() or self._bus.broken:
            return "the packet plane or background work has failed"
        if self._lag > MAX_LAG_SECONDS:
            return f"the event loop lags by {self._lag:.1f} s"
        return self._health.problem

    def _ready(self) -> str | None:
        if self.service.draining:
            return "draining"
        if self.service.policy is None:
            return "waiting for the address that clients are to use"
        return self._alive() or (None if self._bus.up else "no connection to Redis")

    def _report(self) -> SFUReport:
        return SFUReport(
            version=VERSION,
            draining=self.service.draining,
            rooms=self.service.rooms,
            participants=self.service.participants,
            serving=self._ready() is None,
        )

    def _gauges(self) -> dict[str, float]:
        return {
            "sfu_rooms": self.service.rooms,
            "sfu_participants": self.service.participants,
            "sfu_tracks": self.service.tracks,
            "sfu_bus_up": self._bus.up,
            "sfu_draining": self.service.draining,
            "sfu_udp_answers": self._health.problem is None,
            "sfu_loop_lag_seconds": self._lag,
        }

    # Background work

    def _stopped(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)
            self.failed.set()

    async def _listen(self) -> None:
        try:
            await self._bus.listen_for_wanted(self._settings.own_room)
        except UnavailableError:
            pass  # the bus does it as soon as it is back

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            slept = loop.time()
            await asyncio.sleep(TICK_SECONDS)
            self._lag = loop.time() - slept - TICK_SECONDS
            await self.service.tick()

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                self._statistics = await self._plane.statistics()
            except TimeoutError:
                log.warning("the packet plane does not answer in time")

    async def _follow_control_keys(self) -> None:
        if self._settings.control_keys_file is None:
            return
        async for data in watched_file.contents(self._settings.control_keys_file):
            try:
                self._control_keys = keyset.parse(data)
            except KeySetError as error:
                log.error("control %s; keeping the last one", error)


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT has drained the process, or the time for that is up; 1 after a failure.

    Raises:
        StartError: a port can't be used.
        SettingError: the file of addresses holds what are none.
    """
    loop = asyncio.get_running_loop()
    asked, forced = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: forced.set() if asked.is_set() else asked.set())
    server = SFUServer(settings, RedisBus(settings.redis_url, "sfu"))
    await server.start()
    try:
        await _first(server.serve(), asked.wait(), server.failed.wait())
        await _first(asked.wait(), server.failed.wait())
        if not server.failed.is_set():
            server.drain()
            deadline = asyncio.sleep(settings.drain_seconds)
            await _first(server.drained(), forced.wait(), server.failed.wait(), deadline)
    finally:
        await server.stop()
    log.info("stopped")
    return 1 if server.failed.is_set() else 0


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait for one of them, and raise what it raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
