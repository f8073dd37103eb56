"""Whether this server does its work: asked of it over the network, with the keys in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from callcluster_common.keyset import Key, KeySet, fingerprint

from callcluster_turn import peers, selfcheck
from callcluster_turn.config import MAX_ALLOCATE_LIFETIME_SECONDS
from callcluster_turn.metrics import Metrics
from callcluster_turn.selfcheck import PeerPolicyError, SelfCheckError
from callcluster_turn.settings import Settings
from callcluster_turn.supervisor import FatalError, Run, Supervisor

log = logging.getLogger(__name__)

STEADY_SECONDS = 10.0
LINGER_SECONDS = 3.0
"""coturn closes a relay port 1 to 2 seconds after its allocation has ended."""
SESSION_SECONDS = 2.0 * MAX_ALLOCATE_LIFETIME_SECONDS
"""Beyond it coturn has no session left of a check whose end did not reach it."""
EAGER_SECONDS = 0.2
"""Pace while something is wrong or unproven."""


class Health:
    """Runs the self-checks, and acknowledges a key set once the server was seen to accept its keys."""

    def __init__(self, settings: Settings, supervisor: Supervisor, metrics: Metrics) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._metrics = metrics
        self._proven: frozenset[Key] = frozenset()
        self._policed_run: Run | None = None
        """The run of coturn whose peer policy was checked."""
        self._checked_run: Run | None = None
        """The run of coturn that :attr:`_finding` is about."""
        self._finding: str | None = None
        self._told: str | None = "starting"
        """The last state that was logged."""
        self._probes: dict[int, float] = {}
        """Relay ports of self-checks, and when coturn will have closed each."""
        self._users: dict[str, float] = {}
        """User names of self-checks, and when coturn will know no session of each."""
        self.keyset: KeySet | None = None
        """The set in coturn's table."""
        self.acknowledged = ""
        """Fingerprint of the last set that was proven to be in force."""

    @property
    def problem(self) -> str | None:
        """What is wrong with the server at this moment, or ``None``."""
        if self._supervisor.problem is not None:
            return self._supervisor.problem
        if self._checked_run is not self._supervisor.current:
            return "coturn has started and was not checked yet"
        return self._finding

    @property
    def probe_ports(self) -> frozenset[int]:
        """Relay ports that self-checks have just given back, while coturn may still hold them."""
        now = asyncio.get_running_loop().time()
        self._probes = {port: gone for port, gone in self._probes.items() if now < gone}
        return frozenset(self._probes)

    @property
    def probe_users(self) -> frozenset[str]:
        """See :func:`callcluster_turn.selfcheck.user_of`: those of whom coturn may still hold a session."""
        now = asyncio.get_running_loop().time()
        self._users = {user: gone for user, gone in self._users.items() if now < gone}
        return frozenset(self._users)

    def adopt(self, keyset: KeySet, *, proven: bool) -> None:
        """Take note of a set that was written to coturn's table, and check it now."""
        self.keyset = keyset
        if proven:
            self.acknowledged = fingerprint(keyset)
        self._supervisor.changed.set()

    async def watch(self, draining: Callable[[], bool]) -> None:
        """Check for good.

        Raises:
            FatalError: the peer policy is not enforced.
        """
        while True:
            await self._look(draining)
            try:
                async with asyncio.timeout(STEADY_SECONDS if self.problem is None else EAGER_SECONDS):
                    await self._supervisor.changed.wait()
                self._supervisor.changed.clear()
            except TimeoutError:
                pass  # time for the next check

    async def _look(self, draining: Callable[[], bool]) -> None:
        before, run = self._told, self._supervisor.current
        if self._supervisor.problem is None:
            try:
                self._finding = await self._check(run, draining)
            except PeerPolicyError as error:
                raise FatalError(str(error)) from None
            except SelfCheckError as error:
                # A drain that began during the check closes the doors on it: no failure.
                self._finding = None if draining() else str(error)
                if self._finding and before is None:
                    self._metrics.self_check_failures.inc()
            self._checked_run = run
        self._told = self.problem
        if self._told != before:
            if self._told is None:
                log.info("ready")
            else:
                log.log(logging.WARNING if before is None else logging.INFO, "not ready: %s", self._told)

    async def _check(self, run: Run | None, draining: Callable[[], bool]) -> str | None:
        keyset = self.keyset
        address, port = self._settings.listening_ip, self._settings.listening_port
        await selfcheck.binding(address, port)
        await selfcheck.connect(address, port)
        if self._settings.tls:
            await selfcheck.connect(address, self._settings.tls.port)
        if draining():
            return None
        if keyset is None:
            return "no key set yet"
        await self._prove(keyset, run)
        return None

    async def _prove(self, keyset: KeySet, run: Run | None) -> None:
        """Authenticate with the minting key and with every key that is new."""
        settings = self._settings
        version = settings.relay_ip.version
        for key in keyset.keys:
            if key in self._proven and key != keyset.minting:
                continue
            denied = (
                () if run is self._policed_run else peers.probes(settings.peers, version, settings.relay_ip)
            )
            self._users[selfcheck.user_of(key)] = asyncio.get_running_loop().time() + SESSION_SECONDS
            port = await selfcheck.allocate(
                settings.listening_ip, settings.listening_port, key, version, denied
            )
            if port is not None:
                self._policed_run = run
                self._probes[port] = asyncio.get_running_loop().time() + LINGER_SECONDS
        if keyset is self.keyset:
            self._proven = frozenset(keyset.keys)
            self.acknowledged = fingerprint(keyset)
