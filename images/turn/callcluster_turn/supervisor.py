"""Keeps coturn running: waits for what it needs, renders its configuration, starts it again."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import sqlite3
from collections import deque
from dataclasses import dataclass

from callcluster_common.environment import SettingError
from callcluster_common.peer_policy import IPAddress
from callcluster_common.watched_file import contents

from callcluster_turn import certificate, config, cpus, sockets
from callcluster_turn.certificate import CertificateError, Pair
from callcluster_turn.config import Profile, Runtime
from callcluster_turn.coturn import Coturn
from callcluster_turn.coturn_log import Event, Fatal, Listening, Note
from callcluster_turn.keys import KeyTable
from callcluster_turn.metrics import Metrics
from callcluster_turn.settings import Settings, external_address
from callcluster_turn.sockets import Listener, PortTakenError

log = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS = 0.25
LAST_BACKOFF_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A run of this length ends a series of failures."""
CONFIG_FILE = "turnserver.conf"


class FatalError(Exception):
    """The agent can't do its work until somebody changes something; the message says what."""


@dataclass(frozen=True)
class Run:
    """One run of coturn, and how to reach its command line."""

    coturn: Coturn
    cli_port: int
    cli_password: str


class Supervisor:
    """Owns the coturn process and the files it reads."""

    def __init__(
        self, settings: Settings, path: str, profile: Profile, table: KeyTable, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._path = path
        self._profile = profile
        self._table = table
        self._metrics = metrics
        self._external: IPAddress | None = None
        self._waiting = "starting"
        self._external_known = asyncio.Event()
        self._pair: Pair | None = None
        self._pair_known = asyncio.Event()
        self._reload_wanted = False
        self._fatal: str | None = None
        self._last_notes: deque[str] = deque(maxlen=8)
        self._retired = False
        self.current: Run | None = None
        self._listening = False
        self.changed = asyncio.Event()
        """Set when there is something new to check."""

    @property
    def problem(self) -> str | None:
        """Why coturn is not there to be asked, or ``None``."""
        return None if self.running and self._listening else self._waiting

    @property
    def running(self) -> bool:
        """Whether there is a coturn process."""
        return self.current is not None and self.current.coturn.running

    @property
    def pid(self) -> int:
        """Process id of coturn, 0 without one."""
        return self.current.coturn.pid if self.current is not None and self.running else 0

    @property
    def certificate_expires(self) -> float:
        """Unix time at which the certificate in use ends, 0 without one."""
        return self._pair.expires if self._pair else 0.0

    def retire(self) -> None:
        """Don't start coturn again once it has ended."""
        self._retired = True

    async def close_doors(self) -> bool:
        """Make coturn refuse new allocations and keep those that run.

        Returns:
            Whether it does so already; if not, ask again.
        """
        if not self.running or self.current is None:
            return True
        if not self._profile.drains_on_signal:
            try:
                await asyncio.to_thread(self._table.replace, ())
            except sqlite3.Error:
                log.exception("the key table can't be emptied; trying again")
                return False
            return True
        if not self.current.coturn.handles(signal.SIGUSR1):
            return False
        self.current.coturn.signal(signal.SIGUSR1)
        return True

    def reload_certificate(self) -> None:
        """Tell coturn of a new pair, as soon as it can be told."""
        if self._reload_wanted and self.current is not None and self.current.coturn.handles(signal.SIGUSR2):
            self.current.coturn.signal(signal.SIGUSR2)
            self._reload_wanted = False
            log.info("certificate reloaded")

    async def follow_external_address(self) -> None:
        """Take the external address from its file; a later change counts from coturn's next start."""
        path = self._settings.external_address_file
        if path is None:
            self._external_known.set()
            return
        self._waiting = "waiting for the external address"
        async for data in contents(path):
            text = data.decode(errors="replace").strip()
            if not text:
                continue
            try:
                address = external_address(text)
            except SettingError as error:
                log.error("%s", error)
                continue
            if self._external_known.is_set() and address != self._external:
                log.warning("the external address changed; it counts from the next start of coturn")
            self._external = address
            self._external_known.set()

    async def follow_certificate(self) -> None:
        """Take over each certificate and key that belong together; keep the last good pair otherwise."""
        if self._settings.tls is None:
            self._pair_known.set()
            return
        async for found in certificate.follow(self._settings.tls):
            if isinstance(found, CertificateError):
                self._metrics.certificate_errors.inc()
                log.error("%s; %s", found, "keeping the last pair" if self._pair else "waiting for a pair")
                continue
            found.write(self._settings.state_dir)
            self._pair = found
            self._pair_known.set()
            self._reload_wanted = self.running

    async def supervise(self) -> None:
        """Run coturn for good.

        Raises:
            FatalError: its ports are taken at the first start, or it refuses its configuration.
        """
        await self._external_known.wait()
        self._waiting = "waiting for a usable TLS certificate"
        await self._pair_known.wait()
        loop = asyncio.get_running_loop()
        backoff = FIRST_BACKOFF_SECONDS
        first = True
        while not self._retired:
            began = loop.time()
            try:
                sockets.check_free(self._listeners())
            except PortTakenError as error:
                if first:
                    raise FatalError(str(error)) from None
                self._waiting = str(error)
                log.error("%s", error)
            else:
                first = False
                await self._run_once()
                if loop.time() - began > STEADY_SECONDS:
                    backoff = FIRST_BACKOFF_SECONDS
            if not self._retired:
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LAST_BACKOFF_SECONDS)

    async def _run_once(self) -> None:
        settings = self._settings
        self._waiting = "coturn is starting"
        run_password = secrets.token_hex(16)
        cli_port = sockets.free_loopback_port()
        runtime = Runtime(
            profile=self._profile,
            database=self._table.path,
            external_ip=self._external,
            cli_port=cli_port,
            cli_password=run_password,
            relay_threads=cpus.of_this_process(),
            certificate=certificate.paths(settings.state_dir) if self._pair else None,
        )
        path = settings.state_dir / CONFIG_FILE
        path.touch(mode=0o600)
        path.write_text(config.render(settings, runtime))
        self._reload_wanted = False
        self._last_notes.clear()
        coturn = await Coturn.start(self._path, path, self._take)
        self.current = Run(coturn, cli_port, run_password)
        log.info("coturn started")
        try:
            status = await coturn.listen()
        except asyncio.CancelledError:
            await coturn.stop()
            raise
        finally:
            self._listening = False
            self.changed.set()
        if self._fatal is not None:
            raise FatalError(f"coturn does not accept its configuration: {self._fatal}")
        if self._retired:
            log.info("coturn ended", extra={"fields": {"status": status}})
            return
        self._waiting = f"coturn ended with status {status} and is being started again"
        self._metrics.restarts.inc()
        # Lines are left only if it ended before it listened; then they are all there is to go by.
        fields = {"status": status, "output": list(self._last_notes)}
        log.error("coturn ended; starting it again", extra={"fields": fields})

    def _take(self, event: Event) -> None:
        """React to coturn's output."""
        self._metrics.count(event)
        if isinstance(event, Listening):
            self._listening = True
            self.changed.set()
            self._last_notes.clear()
        elif isinstance(event, Note):
            self._last_notes.append(event.line)
        elif isinstance(event, Fatal) and self.current is not None:
            self._fatal = event.line
            self.current.coturn.signal(signal.SIGKILL)

    def _listeners(self) -> list[Listener]:
        settings = self._settings
        address = settings.listening_ip
        found = [
            Listener(protocol, address, settings.listening_port, "LISTENING_PORT")
            for protocol in ("UDP", "TCP")
        ]
        if settings.tls:
            found.append(Listener("TCP", address, settings.tls.port, "TLS_LISTENING_PORT"))
        return found
