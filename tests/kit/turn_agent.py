"""Runs the real TURN agent with the real coturn, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import aiohttp
import msgspec
from callcluster_common import keyset as keysets
from callcluster_common.keyset import Key, KeySet
from callcluster_common.reports import TURNReport
from prometheus_client.parser import text_string_to_metric_families

from kit.turn_client import Address, TURNClient, credential

FIRST_PORT = 29000
LAST_PORT = 32711
BLOCK = 128
START_SECONDS = 60.0
POLL_SECONDS = 0.05


def unavailable() -> str | None:
    """Why there can be no coturn here, or ``None``."""
    return None if shutil.which("turnserver") else "turnserver is not installed"


def new_key(kid: str) -> Key:
    """A key with a fresh secret."""
    return Key(kid, secrets.token_urlsafe(32))


def key_set(*keys: Key, mint: Key | None = None) -> KeySet:
    """A set that mints with ``mint``, or the first."""
    return KeySet((mint or keys[0]).kid, keys)


@contextlib.contextmanager
def claimed_ports(count: int = BLOCK) -> Iterator[range]:
    """A run of ports that no other test of this machine uses at the same time, below the ephemeral ones."""
    directory = Path(tempfile.gettempdir()) / "callcluster-test-ports"
    directory.mkdir(exist_ok=True)
    blocks = -(-count // BLOCK)
    total = (LAST_PORT + 1 - FIRST_PORT) // BLOCK
    # Tests that follow one another take different blocks, so that nothing of the last one is met again.
    offset = secrets.randbelow(total)
    for start in range(total):
        first = (start + offset) % (total - blocks + 1)
        with contextlib.ExitStack() as locks:
            try:
                for block in range(first, first + blocks):
                    file = locks.enter_context((directory / str(block)).open("w"))
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            low = FIRST_PORT + first * BLOCK
            yield range(low, low + count)
            return
    raise RuntimeError("all test ports are in use")


@dataclass
class AgentProcess:
    """One agent and its files. Use as an async context manager; on leaving, it is killed if it still runs.

    The block of ports is laid out as: listener, TLS listener, control, peers (5), relay, clients.
    """

    directory: Path
    ports: range
    keyset: KeySet | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    relay_ports: int = 32
    host: str = "127.0.0.1"
    wrapper: tuple[str, ...] = ()
    """A command that runs the agent's."""
    log: str = field(default="", init=False)
    token: Key = field(default_factory=lambda: new_key("c1"), init=False)

    def __post_init__(self) -> None:
        first = self.ports.start
        self.listening_port, self.tls_port, self.control_port = first, first + 1, first + 2
        self.peer_port = first + 3
        self.min_port = first + 8
        self.max_port = self.min_port + self.relay_ports - 1
        self._client_ports = iter(range(self.max_port + 1, self.ports.stop))
        self.keys_file = self.directory / keysets.KEYS_FILE
        self._control_file = self.directory / "control.json"
        self.state = self.directory / "state"

    @property
    def server(self) -> Address:
        return self.host, self.listening_port

    def environment(self) -> dict[str, str]:
        """What the process is started with, and nothing beside it but the search paths."""
        inherited = {
            name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TURNSERVER") if name in os.environ
        }
        return {
            **inherited,
            "LISTENING_IP": self.host,
            "LISTENING_PORT": str(self.listening_port),
            "MIN_PORT": str(self.min_port),
            "MAX_PORT": str(self.max_port),
            "REALM": "calls.example",
            "ALLOWED_PEER_CIDRS": "127.0.0.0/8",
            "KEYS_FILE": str(self.keys_file),
            "CONTROL_KEYS_FILE": str(self._control_file),
            "CONTROL_HOST": "127.0.0.1",
            "CONTROL_PORT": str(self.control_port),
            "STATE_DIR": str(self.state),
            "POD_NAME": "turn-0",
            **self.variables,
        }

    async def __aenter__(self) -> AgentProcess:
        self._control_file.write_bytes(keysets.encode(key_set(self.token)))
        if self.keyset:
            self.write_keys(self.keyset)
        self.process = await asyncio.create_subprocess_exec(
            *(*self.wrapper, sys.executable, "-m", "callcluster_turn"),
            env=self.environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read())
        self._http = aiohttp.ClientSession(
            f"http://127.0.0.1:{self.control_port}", timeout=aiohttp.ClientTimeout(60)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reader
        if kind is not None:
            print(self.log)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.log += line.decode()

    def write_keys(self, keyset: KeySet) -> None:
        """Replace the key file in one step, as a projected volume does."""
        self.keyset = keyset
        fresh = self.keys_file.with_suffix(".new")
        fresh.write_bytes(keysets.encode(keyset))
        fresh.replace(self.keys_file)

    async def readiness(self) -> str:
        """What ``/readyz`` says: ``ok``, or what is wrong; empty while the control port is closed."""
        try:
            async with self._http.get("/readyz", headers=self._authorization) as answer:
                return (await answer.text()).strip()
        except aiohttp.ClientError:
            return ""

    async def ready(self, timeout: float = START_SECONDS) -> None:
        """Wait until ready."""
        end = time.monotonic() + timeout
        while (last := await self.readiness()) != "ok":
            assert self.process.returncode is None, f"the agent ended: {self.log}"
            assert time.monotonic() < end, f"not ready: {last}\n{self.log}"
            await asyncio.sleep(POLL_SECONDS)

    async def says(self, reason: str) -> bool:
        """Whether ``/readyz`` names ``reason``."""
        return reason in await self.readiness()

    async def not_ready(self) -> bool:
        return await self.readiness() not in ("", "ok")

    async def is_draining(self) -> bool:
        return (await self.report()).draining

    async def metric_is(self, name: str, value: float, **labels: str) -> bool:
        return await self.metric(name, **labels) == value

    async def acknowledged(self, keyset: KeySet, timeout: float = START_SECONDS) -> None:
        """Wait until the agent reports this set."""
        end = time.monotonic() + timeout
        while (await self.report()).key_set != keysets.fingerprint(keyset):
            assert time.monotonic() < end, f"not acknowledged\n{self.log}"
            await asyncio.sleep(POLL_SECONDS)

    async def rotate(self, keyset: KeySet) -> None:
        """Replace the key set and wait for its acknowledgement."""
        self.write_keys(keyset)
        await self.acknowledged(keyset)

    async def report(self) -> TURNReport:
        async with self._http.get("/report", headers=self._authorization) as answer:
            answer.raise_for_status()
            return msgspec.json.decode(await answer.read(), type=TURNReport)

    async def post(self, path: str, body: object = None, token: str | None = None) -> tuple[int, str]:
        """Call a protected route."""
        headers = {"Authorization": f"Bearer {token}"} if token else self._authorization
        async with self._http.post(path, json=body, headers=headers) as answer:
            return answer.status, await answer.text()

    async def metrics_text(self) -> str:
        async with self._http.get("/metrics", headers=self._authorization) as answer:
            answer.raise_for_status()
            return await answer.text()

    async def metric(self, name: str, **labels: str) -> float:
        """Value of one sample, 0 where it does not exist."""
        for family in text_string_to_metric_families(await self.metrics_text()):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.secret}"}

    def client(
        self, key: Key, subject: str = "somebody", *, seconds: int = 600, timeout: float = 20.0
    ) -> TURNClient:
        """A client on a port of its own."""
        local = (self.host, next(self._client_ports))
        return TURNClient(self.server, credential(key, subject, seconds), local, timeout)

    @property
    def coturn_pid(self) -> int:
        """Process id of coturn, 0 without one."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        children = [int(pid) for pid in path.read_text().split()] if path.exists() else []
        for pid in children:
            with contextlib.suppress(OSError):
                if b"turnserver" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                    return pid
        return 0

    def kill_coturn(self) -> None:
        os.kill(self.coturn_pid, signal.SIGKILL)

    @property
    def errors(self) -> list[str]:
        """Lines of its output that are no log record: what it tells a user before it ends."""
        return [line for line in self.log.splitlines() if not line.startswith("{")]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, timeout: float = 60.0) -> int:
        """Wait for the end, and return the exit status."""
        async with asyncio.timeout(timeout):
            return await self.process.wait()


MakeAgent = Callable[..., AgentProcess]
"""The fixture that makes a test's agent: settings as keyword arguments."""
