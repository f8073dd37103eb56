"""Runs ``python -m callcluster_signaling`` as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

SECRET = "integration-secret-0123456789-abcdefghij"


@dataclass
class SignalingProcess:
    """A running server: its ports, its log, and ways to end it."""

    process: asyncio.subprocess.Process
    port: int
    control: int
    log: list[str] = field(default_factory=list)
    reader: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def get(self, path: str) -> tuple[int, str]:
        """An open route of the control port."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.control}{path}") as response,
        ):
            return response.status, await response.text()

    async def metric(self, name: str) -> float:
        """One number of /metrics."""
        _, text = await self.get("/metrics")
        for line in text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise AssertionError(f"no metric {name}")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, within: float = 15.0) -> int:
        return await asyncio.wait_for(self.process.wait(), within)


@asynccontextmanager
async def signaling(redis_url: str = "memory://", **settings: str) -> AsyncIterator[SignalingProcess]:
    """Start a server on ports of its own choice, and end it afterwards."""
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": "0",
        "CONTROL_PORT": "0",
        "CONTROL_HOST": "127.0.0.1",
        "REDIS_URL": redis_url,
        "JWT_SECRET": SECRET,
        "ROOM_SALT": "salt-of-the-tests",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "callcluster_signaling",
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 20,
    )
    stdout = process.stdout
    assert stdout is not None
    server = SignalingProcess(process, 0, 0)

    async def read() -> None:
        async for line in stdout:
            server.log.append(line.decode())

    try:
        async with asyncio.timeout(15):
            while not server.port:
                line = (await stdout.readline()).decode()
                assert line, f"the server ended: {''.join(server.log)}"
                server.log.append(line)
                if '"msg": "serving"' in line:
                    found = json.loads(line)
                    server.port, server.control = found["port"], found["control"]
        server.reader = asyncio.create_task(read())
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if server.reader is not None:
            await server.reader
