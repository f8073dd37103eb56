"""Whether this server does its work: asked of it over the network, with the keys in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from callcluster_common.keyset import Key, KeySet, fingerprint

from callcluster_turn import peers, selfcheck
from callcluster_turn.metrics import Metrics
from callcluster_turn.selfcheck import PeerPolicyError, SelfCheckError
from callcluster_turn.settings import Settings
from callcluster_turn.supervisor import FatalError, Run, Supervisor

log = logging.getLogger(__name__)

STEADY_SECONDS = 10.0
EAGER_SECONDS = 0.2
"""Pace while something is wrong or unproven."""


class Health:
    """Runs the self-checks, and acknowledges a key set once the server was seen to accept its keys."""

    def __init__(self, settings: Settings, supervisor: Supervisor, metrics: Metrics) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._proven: frozenset[Key] = frozenset()
        self._checked_run: Run | None = None
        """The run of coturn whose peer policy was checked."""
        self.keyset: KeySet | None = None
        """The set in coturn's table."""
        self.acknowledged = ""
        """Fingerprint of the last set that was proven to be in force."""
        self.problem: str | None = "starting"

    def adopt(self, keyset: KeySet, *, proven: bool) -> None:
        """Take note of a set that was written to coturn's table, and check it now."""
        self.keyset = keyset
        if proven:
            self.acknowledged = fingerprint(keyset)
        self._wake.set()

    async def watch(self, draining: Callable[[], bool]) -> None:
        """Check for good.

        Raises:
            FatalError: the peer policy is not enforced.
        """
        while True:
            await self._look(draining)
            try:
                async with asyncio.timeout(STEADY_SECONDS if self.problem is None else EAGER_SECONDS):
                    await self._wake.wait()
                self._wake.clear()
            except TimeoutError:
                pass  # time for the next check

    async def _look(self, draining: Callable[[], bool]) -> None:
        before = self.problem
        try:
            self.problem = await self._check(draining)
        except PeerPolicyError as error:
            raise FatalError(str(error)) from None
        except SelfCheckError as error:
            # A drain that began during the check closes the doors on it: no failure.
            self.problem = None if draining() else str(error)
            if self.problem and before is None:
                self._metrics.self_check_failures.inc()
        if self.problem != before:
            log.log(
                logging.WARNING if before is None else logging.INFO,
                "ready" if self.problem is None else "not ready: %s",
                *(() if self.problem is None else (self.problem,)),
            )

    async def _check(self, draining: Callable[[], bool]) -> str | None:
        if self._supervisor.problem is not None:
            return self._supervisor.problem
        run, keyset = self._supervisor.run_, self.keyset
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
                () if run is self._checked_run else peers.probes(settings.peers, version, settings.relay_ip)
            )
            allocated = await selfcheck.allocate(
                settings.listening_ip, settings.listening_port, key, version, denied
            )
            if allocated:
                self._checked_run = run
        if keyset is self.keyset:
            self._proven = frozenset(keyset.keys)
            self.acknowledged = fingerprint(keyset)
