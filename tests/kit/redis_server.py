"""A redis-server of a test's own."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from kit.ports import free_port


class RedisServer:
    """Starts, stops, restarts, wipes; keeps its port across restarts and its data only when told to."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self._options = options
        self.directory = Path(tempfile.mkdtemp(prefix="callcluster-redis-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                str(self.directory),
                *self._options,
            ],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                with self.client as client:
                    client.ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "redis-server did not start"
                time.sleep(0.02)

    def kill(self) -> None:
        """End it at once; nothing is saved."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def call(self, *command: Any) -> Any:
        with self.client as client:
            return client.execute_command(*command)

    def dump(self) -> bytes:
        """The bytes of an RDB file written now."""
        self.call("SAVE")
        return (self.directory / "dump.rdb").read_bytes()

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.directory)


_ESCAPE = re.compile(rb'\\(x[0-9a-f]{2}|[nrtab"\\])')
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b'"': b'"', b"\\": b"\\"}


class Monitor:
    """Records all that ``MONITOR`` of the server at ``url`` shows until it is stopped."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self.lines: list[str] = []

    async def __aenter__(self) -> Monitor:
        reader, writer = await asyncio.open_connection(self._server.hostname, self._server.port)
        if self._server.password:
            writer.write(f"AUTH {self._server.password}\r\n".encode())
            assert await reader.readline() == b"+OK\r\n"
        writer.write(b"MONITOR\r\n")
        assert await reader.readline() == b"+OK\r\n"
        self._writer = writer

        async def read() -> None:
            while line := await reader.readline():
                self.lines.append(line.decode())

        self._reading = asyncio.create_task(read())
        return self

    def executed(self) -> bytes:
        """The lines with their values as they were sent: ``MONITOR`` shows bytes beyond ASCII escaped."""
        shown = "".join(self.lines).encode()
        return _ESCAPE.sub(
            lambda found: _PLAIN.get(found[1]) or bytes.fromhex(found[1][1:].decode()), shown
        )

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()
        await self._reading


@pytest.fixture(scope="package")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for all tests of a package; its conftest names this fixture."""
    server = RedisServer()
    server.start()
    yield server
    server.close()
