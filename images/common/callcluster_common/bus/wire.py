"""One connection to Redis (RESP3), written to once a tick of the event loop.

Commands of one tick leave in one write, and replies call back in order. Every relayed message takes this
path, where a pipeline of redis-py would cost a multiple (docs/benchmarks.md).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis
from redis.asyncio.connection import parse_url

Reply = Callable[[Any], None]
"""Gets a reply, or an instance of :class:`hiredis.ReplyError`, or ``LOST``."""

LOST = object()
"""The connection broke before the reply came."""


class WireError(Exception):
    """Redis refused the connection, or can't be reached."""


class Wire(asyncio.Protocol):
    """A connection. Made by :func:`connect`."""

    def __init__(self, on_push: Callable[[bytes, bytes], None]) -> None:
        """Begin; ``on_push`` gets channel and payload of each message."""
        self._on_push = on_push
        self._reader = hiredis.Reader()
        self._replies: deque[Reply] = deque()
        self._out: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self.lost = self._loop.create_future()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if not self.lost.done():
            self.lost.set_result(None)
        self._out.clear()
        while self._replies:
            self._replies.popleft()(LOST)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                if isinstance(reply, hiredis.PushNotification) and reply[0] == b"message":
                    self._on_push(reply[1], reply[2])
                else:
                    # A confirmed subscription is a push as well, but comes where its reply would.
                    self._replies.popleft()(reply)
        except hiredis.ProtocolError:
            self._transport.abort()

    # Commands

    def call(self, reply: Reply, *command: bytes | str | int) -> None:
        """Queue a command for the end of this tick."""
        if self.lost.done():
            self._loop.call_soon(reply, LOST)
            return
        self._replies.append(reply)
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(hiredis.pack_command(cast("Any", command)))

    def _flush(self) -> None:
        if self._out and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    async def ask(self, *command: bytes | str | int) -> Any:
        """Run a command and wait for its reply.

        Raises:
            WireError: the connection broke, or Redis answered by an error.
        """
        future: asyncio.Future[Any] = self._loop.create_future()

        def settle(reply: Any) -> None:
            if future.done():
                return
            if reply is LOST:
                future.set_exception(WireError("the connection broke"))
            elif isinstance(reply, hiredis.ReplyError):
                # To a command that it does not know Redis repeats the arguments: HELLO has the password.
                future.set_exception(WireError(str(reply).partition(", with args")[0]))
            else:
                future.set_result(reply)

        self.call(settle, *command)
        return await future

    async def subscribe(self, channel: str) -> None:
        """Subscribe, and wait until Redis confirms.

        Raises:
            WireError: as :meth:`ask`.
        """
        await self.ask("SUBSCRIBE", channel)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()


async def connect(url: str, on_push: Callable[[bytes, bytes], None], name: str) -> Wire:
    """Connect, authenticate and choose the database.

    Raises:
        WireError: it can't be done; the message holds no secret.
    """
    options: dict[str, Any] = dict(parse_url(url))
    loop = asyncio.get_running_loop()
    context = None
    if url.startswith("rediss://"):
        try:
            context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        except OSError as error:
            raise WireError(f"the file that ssl_ca_certs names can't be used: {error.strerror}") from None
    try:
        _, wire = await loop.create_connection(
            lambda: Wire(on_push), options.get("host", "localhost"), options.get("port", 6379), ssl=context
        )
    except OSError as error:
        raise WireError(error.strerror or str(error)) from None
    try:
        hello: list[str | int] = ["HELLO", 3]
        if "password" in options:
            hello += ["AUTH", options.get("username", "default"), options["password"]]
        await wire.ask(*hello, "SETNAME", name)
        if options.get("db"):
            await wire.ask("SELECT", options["db"])
    except WireError as error:
        wire.abort()
        if str(error).startswith("ERR unknown command"):
            raise WireError("Redis 6 or newer is needed") from None
        raise
    return wire
