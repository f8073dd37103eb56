"""A real signaling server for one test, and a way to it that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import jwt
from kit.eventually import eventually
from kit.turn_agent import claimed_ports

WEB = Path(__file__).resolve().parents[3] / "images" / "signaling" / "web"
JWT_SECRET = "a secret of the tests, at least 32 bytes long"


@dataclass
class Signaling:
    """One process with a memory bus that lets guests in."""

    port: int
    control_port: int
    environment: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start and wait until it serves the page."""
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(self.port),
            "CONTROL_HOST": "127.0.0.1",
            "CONTROL_PORT": str(self.control_port),
            "REDIS_URL": "memory://",
            "GUEST_ACCESS": "true",
            "JWT_SECRET": JWT_SECRET,
            "WEB_ROOT": str(WEB),
            **self.environment,
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "callcluster_signaling", env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        await eventually(self._serves, within=20.0)

    async def kill(self) -> None:
        """End it as a crash would."""
        assert self.process
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def _serves(self) -> bool:
        assert self.process
        assert self.process.returncode is None, "the signaling server ended"
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/sdk/index.js") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


@contextlib.asynccontextmanager
async def signaling(**environment: str) -> AsyncIterator[Signaling]:
    """A server on ports of its own."""
    with claimed_ports(2) as ports:
        server = Signaling(ports[0], ports[1], environment)
        await server.start()
        try:
            yield server
        finally:
            await server.kill()


def token(room: str, *, moderator: bool = False, lifetime: int = 600) -> str:
    """A join token for ``room``; ``lifetime`` in seconds."""
    now = int(time.time())
    claims = {"sub": os.urandom(4).hex(), "aud": "callcluster", "room": room, "iat": now, "exp": now + lifetime}
    return jwt.encode({**claims, "g": {"mod": moderator}}, JWT_SECRET, algorithm="HS256")


class Wire:
    """A TCP proxy in front of the server that can be cut and mended."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut = False
        self.port = 0

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Drop every connection and refuse new ones."""
        self._cut = True
        for task in self._tasks:
            task.cancel()

    def mend(self) -> None:
        """Let connections through again."""
        self._cut = False

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        other: asyncio.StreamWriter | None = None
        try:
            if self._cut:
                return
            back, other = await asyncio.open_connection("127.0.0.1", self._target)
            done, pending = await asyncio.wait(
                [asyncio.ensure_future(_pump(reader, other)), asyncio.ensure_future(_pump(back, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for pump in pending:
                pump.cancel()
            await asyncio.gather(*done, *pending, return_exceptions=True)
        except (asyncio.CancelledError, OSError):
            pass  # cut
        finally:
            for end in (writer, other):
                if end:
                    end.transport.abort()
            self._tasks.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
