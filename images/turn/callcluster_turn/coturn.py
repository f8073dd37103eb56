"""The coturn process: found, started, listened to, signalled, ended."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from callcluster_turn.coturn_log import Event, Reader

STOP_SECONDS = 8.0
"""4.17 takes 2 to 4 seconds to end."""
VERSION_SECONDS = 10.0


class CoturnMissingError(Exception):
    """A program that the agent needs is not installed; the message says which."""


def find(turnserver: str) -> tuple[str, str]:
    """Path and version of coturn.

    Raises:
        CoturnMissingError: it is not there, or does not run.
    """
    path = shutil.which(turnserver)
    if path is None:
        raise CoturnMissingError(f"{turnserver} not found: install coturn, or set TURNSERVER to its path")
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, timeout=VERSION_SECONDS, env={}, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CoturnMissingError(f"{path} does not run: {error}") from None
    return path, answer.stdout.decode(errors="replace").strip()


class Coturn:
    """One run of coturn as a child of this process."""

    def __init__(self, process: asyncio.subprocess.Process, on_event: Callable[[Event], None]) -> None:
        self._process = process
        self._on_event = on_event

    @classmethod
    async def start(cls, path: str, config: Path, on_event: Callable[[Event], None]) -> Coturn:
        """Start coturn with nothing of our environment.

        Raises:
            CoturnMissingError: ``setpriv`` (util-linux) is not installed.
        """
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise CoturnMissingError("setpriv not found: install util-linux")
        process = await asyncio.create_subprocess_exec(
            # An agent that is killed must not leave a server behind that nobody rotates or drains.
            *(setpriv, "--pdeathsig", "KILL", "--no-new-privs", "--"),
            # The empty pidfile keeps it from writing to a read-only file system.
            *(path, "-c", str(config), "--pidfile="),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=config.parent,
            env={},
        )
        return cls(process, on_event)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def listen(self) -> int:
        """Read its output until it ends, and return its exit status (negative: a signal)."""
        assert self._process.stdout is not None
        reader = Reader()
        while chunk := await self._process.stdout.read(65536):
            for event in reader.feed(chunk):
                self._on_event(event)
        return await self._process.wait()

    def handles(self, number: signal.Signals) -> bool:
        """Whether it has installed a handler: before that, a signal that asks for something kills it."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return False
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            pass  # it has just ended

    async def stop(self) -> None:
        """End it: politely, then by force."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._process.wait()
