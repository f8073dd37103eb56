"""A way to a server that can be cut."""

from __future__ import annotations

import asyncio


class Wire:
    """A TCP proxy in front of ``target``, a port that may change; it can be cut and mended."""

    def __init__(self, target: int) -> None:
        self.target = target
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
            back, other = await asyncio.open_connection("127.0.0.1", self.target)
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
