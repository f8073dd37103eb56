"""The agent: ties key set, checks, drain and control port to the coturn that it runs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import time
from importlib.metadata import version
from typing import Annotated

import msgspec
from aiohttp import web
from callcluster_common import keyset as keysets
from callcluster_common.control import OPEN_ON_HOST, ControlServer
from callcluster_common.keyset import KeySet, KeySetError
from callcluster_common.reports import TURNReport
from callcluster_common.watched_file import contents

from callcluster_turn import coturn_cli, sockets
from callcluster_turn.config import Profile
from callcluster_turn.coturn_cli import CoturnCLIError
from callcluster_turn.drain import Drain
from callcluster_turn.health import Health
from callcluster_turn.keys import KeyTable
from callcluster_turn.metrics import Metrics
from callcluster_turn.readiness import ReadinessFile
from callcluster_turn.settings import Settings
from callcluster_turn.sockets import Occupancy
from callcluster_turn.supervisor import FatalError, Supervisor

log = logging.getLogger(__name__)

READING_SECONDS = 2.0
DRAIN_READING_SECONDS = 0.5
READINESS_SECONDS = 0.2
DATABASE_FILE = "turndb"


class Revocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of ``POST /revoke``."""

    kid: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]{1,16}\Z")]


class Agent:
    """One TURN server: coturn, its keys and its control port."""

    def __init__(self, settings: Settings, path: str, coturn_version: str, profile: Profile) -> None:
        self._settings = settings
        self._coturn_version = coturn_version
        self._table = KeyTable(settings.state_dir / DATABASE_FILE, settings.realm)
        self._table_lock = asyncio.Lock()
        self._metrics = Metrics(lambda: self._supervisor.pid)
        self._supervisor = Supervisor(settings, path, profile, self._table, self._metrics)
        self._health = Health(settings, self._supervisor, self._metrics)
        self._drain = Drain(settings.drain_timeout_seconds)
        self._doors_closed = False
        self._control_keys: KeySet | None = None
        self._key_set_loaded = 0.0
        self._occupancy = Occupancy()
        self._wake_reading = asyncio.Event()
        self._ended = asyncio.Event()
        self._control = ControlServer(
            alive=lambda: None,
            ready=self._ready,
            report=self._report,
            metrics=self._metrics.registry,
            tokens=lambda: self._control_keys,
            drain=self._begin_drain,
            open_routes=OPEN_ON_HOST,
        )
        self._readiness = ReadinessFile(settings.state_dir)
        self._control.add("POST", "/revoke", self._revoke)
        self._add_gauges()

    async def run(self) -> None:
        """Serve until drained after SIGTERM or SIGINT.

        Raises:
            FatalError: something outside must change first; the message says what.
        """
        settings = self._settings
        try:
            self._table.create()
            self._readiness.tell(self._ready())
        except (OSError, sqlite3.Error) as error:
            raise FatalError(f"STATE_DIR {settings.state_dir} can't be used: {error}") from None
        try:
            await self._control.start(settings.control_host, settings.control_port)
        except OSError as error:
            raise FatalError(f"CONTROL_HOST and CONTROL_PORT can't be used: {error.strerror}") from None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._terminate)
        try:
            await self._work()
        finally:
            await self._control.stop()
        log.info("ended")

    async def _work(self) -> None:
        work = [
            asyncio.create_task(job)
            for job in (
                self._supervisor.supervise(),
                self._supervisor.follow_external_address(),
                self._supervisor.follow_certificate(),
                self._follow_keys(),
                self._follow_control_keys(),
                self._health.watch(lambda: self._drain.active),
                self._read_occupancy(),
                self._tell_readiness(),
            )
        ]
        end = asyncio.create_task(self._ended.wait())
        pending = {end, *work}
        try:
            while not end.done():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for job in done:
                    job.result()
        finally:
            for job in (end, *work):
                job.cancel()
            await asyncio.gather(end, *work, return_exceptions=True)

    # What the control port tells

    def _ready(self) -> str | None:
        # A draining server stays ready: its calls go on, and new sessions are steered away by its report.
        return None if self._drain.active else self._health.problem

    async def _tell_readiness(self) -> None:
        while True:
            self._readiness.keep_telling(self._ready())
            await asyncio.sleep(READINESS_SECONDS)

    def _report(self) -> TURNReport:
        return TURNReport(
            version=version("callcluster-turn"),
            coturn_version=self._coturn_version,
            draining=self._drain.active,
            allocations=self._look_at_sockets().allocations,
            key_set=self._health.acknowledged,
        )

    async def _revoke(self, request: web.Request) -> web.Response:
        """End all sessions of a key that is no longer accepted."""
        try:
            kid = msgspec.json.decode(await request.read(), type=Revocation).kid
        except msgspec.MsgspecError:
            return web.Response(status=400, text='body wanted: {"kid": "<key id>"}\n')
        keyset = self._health.keyset
        if keyset is not None and kid in keyset.kids and not self._doors_closed:
            return web.Response(
                status=409, text=f"key {kid} is still accepted: take it out of the key set first\n"
            )
        run = self._supervisor.current
        if run is None or not run.coturn.running:
            return web.json_response({"ended": 0})
        try:
            own = self._health.probe_users
            ended = await coturn_cli.end_sessions(run.cli_port, run.cli_password, kid, own)
        except CoturnCLIError as error:
            return web.Response(status=502, text=f"{error}\n")
        self._metrics.revoked_sessions.inc(ended)
        log.info("key revoked", extra={"fields": {"kid": kid, "ended": ended}})
        return web.json_response({"ended": ended})

    def _add_gauges(self) -> None:
        settings, drain = self._settings, self._drain
        add = self._metrics.gauge
        add("allocations_current", "Relay ports in use", lambda: self._occupancy.allocations)
        add("relay_ports", "Relay ports of this server", lambda: settings.slice_size)
        add(
            "relay_ports_foreign",
            "Relay ports that other programs hold",
            lambda: self._occupancy.foreign_relay,
        )
        add(
            "listeners_foreign",
            "Sockets of other programs on the listener's UDP port",
            lambda: self._occupancy.foreign_listeners,
        )
        add("ready", "1 when ready", lambda: self._ready() is None)
        add("coturn_up", "1 when coturn runs", lambda: self._supervisor.running)
        add(
            "key_set_age_seconds",
            "Seconds since the key set in use was loaded, -1 without one",
            lambda: time.time() - self._key_set_loaded if self._key_set_loaded else -1,
        )
        add(
            "certificate_expiry_timestamp_seconds",
            "When the TLS certificate in use ends, 0 without one",
            lambda: self._supervisor.certificate_expires,
        )
        add("draining", "1 when new allocations are refused", lambda: drain.active)
        add(
            "drain_initial_allocations",
            "Relay ports in use when the drain began",
            lambda: drain.initial_allocations,
        )

    # Keys

    async def _follow_keys(self) -> None:
        async for data in contents(self._settings.keys_file):
            try:
                keyset = keysets.parse(data)
            except KeySetError as error:
                self._metrics.key_set_errors.inc()
                log.error("%s; keeping the last one", error)
                continue
            await self._accept(keyset)

    async def _accept(self, keyset: KeySet) -> None:
        """Put a key set into coturn's table; what proves it is the next self-check."""
        async with self._table_lock:
            while not self._drain.active:
                try:
                    await asyncio.to_thread(self._table.replace, [key.secret for key in keyset.keys])
                    break
                except sqlite3.Error:
                    log.exception("the key table can't be written; trying again")
                    await asyncio.sleep(1)
            # A draining server accepts no key at all, so any set is in force there.
            self._health.adopt(keyset, proven=self._drain.active)
        self._key_set_loaded = time.time()
        log.info("key set loaded", extra={"fields": {"kids": keyset.kids, "mint": keyset.mint}})

    async def _follow_control_keys(self) -> None:
        if self._settings.control_keys_file is None:
            return
        async for data in contents(self._settings.control_keys_file):
            try:
                self._control_keys = keysets.parse(data)
            except KeySetError as error:
                self._metrics.key_set_errors.inc()
                log.error("control %s; keeping the last one", error)

    # Drain

    def _begin_drain(self) -> None:
        if not self._drain.active:
            allocations = self._look_at_sockets().allocations
            log.info("draining", extra={"fields": {"allocations": allocations}})
            self._drain.begin(asyncio.get_running_loop().time(), allocations)
            self._supervisor.retire()
        self._wake_reading.set()

    def _terminate(self) -> None:
        self._begin_drain()
        self._drain.terminate(asyncio.get_running_loop().time())

    def _look_at_sockets(self) -> Occupancy:
        settings, pid = self._settings, self._supervisor.pid
        self._occupancy = sockets.occupancy(
            sockets.udp_sockets(),
            sockets.inodes_of(pid) if pid else frozenset(),
            relay_ip=settings.relay_ip,
            relay_ports=range(settings.min_port, settings.max_port + 1),
            listening_ip=settings.listening_ip,
            listening_port=settings.listening_port,
            # While draining every open port counts: a call may have got a probe's since.
            probe_ports=frozenset() if self._drain.active else self._health.probe_ports,
        )
        return self._occupancy

    async def _read_occupancy(self) -> None:
        """Look at the sockets again and again, and end the process when the drain says so."""
        loop = asyncio.get_running_loop()
        while True:
            self._supervisor.reload_certificate()
            if self._drain.active and not self._doors_closed:
                async with self._table_lock:
                    self._doors_closed = await self._supervisor.close_doors()
            left = self._look_at_sockets().allocations
            if self._drain.may_end(loop.time(), left, self._doors_closed):
                if left:
                    log.warning("ending with live allocations", extra={"fields": {"allocations": left}})
                self._ended.set()
                return
            _reap_orphans(self._supervisor.pid)
            try:
                async with asyncio.timeout(
                    DRAIN_READING_SECONDS if self._drain.active else READING_SECONDS
                ):
                    await self._wake_reading.wait()
                self._wake_reading.clear()
            except TimeoutError:
                pass  # time for the next reading


def _reap_orphans(own: int) -> None:
    """As the first process of a container, collect processes that lost their parent (probes, shells)."""
    if os.getpid() != 1:
        return
    while True:
        try:
            child = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if child is None or child.si_pid == own:
            return  # coturn itself is awaited where it was started
        os.waitpid(child.si_pid, 0)
