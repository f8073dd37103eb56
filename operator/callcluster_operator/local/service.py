"""A Service on this machine: one port in front of all ready pods, whichever they are."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence

PATIENCE_SECONDS = 5.0
"""How long a new connection waits while no pod is ready, as when the only one is being restarted."""
LOOK_SECONDS = 0.05
CHUNK = 65536


class Service:
    """Forwards TCP connections to ready pods in turn. Established ones stay with their pod.

    Args:
        backends: ports of the pods that are ready now.
    """

    def __init__(self, backends: Callable[[], Sequence[int]]) -> None:
        self._backends = backends
        self._turn = itertools.count()
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, port: int) -> int:
        """Listen on the loopback addresses, and return the port (useful with 0).

        Raises:
            OSError: the port is taken.
        """
        server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self._servers.append(server)
        chosen = int(server.sockets[0].getsockname()[1])
        # Browsers try ::1 first for localhost. Without it they fall back at once, so it may fail.
        with contextlib.suppress(OSError):
            self._servers.append(await asyncio.start_server(self._accept, "::1", chosen))
        return chosen

    async def close(self) -> None:
        """Close the port and all connections."""
        for server in self._servers:
            server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._forward(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self._connect()
        except (OSError, TimeoutError):
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, far_writer))
                both.create_task(_pump(far_reader, writer))
        finally:
            writer.close()
            far_writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (ready := self._backends()):
                await asyncio.sleep(LOOK_SECONDS)
            return await asyncio.open_connection("127.0.0.1", ready[next(self._turn) % len(ready)])


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        # One side broke off: the other side must see that, too.
        writer.transport.abort()
