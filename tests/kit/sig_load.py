"""Raw WebSocket clients that keep a server busy for far less CPU than it takes to serve them.

In a flood every connection has a fixed number of messages in flight: it sends the next one for each that it
gets. Frames are made beforehand (masked with zeros, which RFC 6455 allows), and what comes is searched for
deliveries instead of being parsed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from typing import Any, cast
from urllib.parse import urlsplit

JSON_TEXT = 0x81
REPLY_SECONDS = 60.0
NEEDLE = b'"t":"msg"'


def masked(text: bytes) -> bytes:
    """One text frame of a client."""
    length = len(text)
    if length < 126:
        return struct.pack("!BB4x", JSON_TEXT, 0x80 | length) + text
    return struct.pack("!BBH4x", JSON_TEXT, 0x80 | 126, length) + text


class LoadClient(asyncio.Protocol):
    """One connection. Made by :func:`open_client`."""

    def __init__(self) -> None:
        self.sid = ""
        self.sent = self.delivered = 0
        """Messages of its floods so far."""
        self.lost = False
        """Whether the server closed."""
        self._buffer = b""
        self._frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._upgraded = asyncio.get_running_loop().create_future()
        self._flooding = False
        self._sending = False
        self._head = self._tail = b""
        self._owed = 0
        self._each = 1
        self._transport: asyncio.Transport

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        error = ConnectionError("the server closed a connection")
        if not self._upgraded.done():
            self._upgraded.set_exception(error)
        self.lost = True

    def data_received(self, data: bytes) -> None:
        if self._flooding:
            self._flooded(data)
            return
        self._buffer += data
        if not self._upgraded.done():
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            self._buffer = rest
            status = head.split(b" ", 2)[1]
            self._upgraded.set_result(int(status))
        while (frame := self._next()) is not None:
            if frame:
                self._frames.put_nowait(json.loads(frame))

    def _next(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        length, start = buffer[1], 2
        if length == 126:
            length, start = int.from_bytes(buffer[2:4], "big"), 4
        if len(buffer) < start + length:
            return None
        self._buffer = buffer[start + length :]
        return buffer[start : start + length] if buffer[0] == JSON_TEXT else b""

    # A member

    async def upgraded(self) -> bool:
        """Whether the server agreed to speak WebSocket."""
        return bool(await self._upgraded == 101)

    def upgrade(self, url: str, subprotocol: str | None) -> None:
        """Ask for it."""
        parts = urlsplit(url)
        offer = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{offer}\r\n"
        )
        self._transport.write(request.encode())

    async def request(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its reply."""
        self._transport.write(masked(json.dumps({"t": kind, "id": kind, "d": data}).encode()))
        while True:
            frame = await asyncio.wait_for(self._frames.get(), REPLY_SECONDS)
            if frame.get("re") == kind:
                if frame["t"] == "error":
                    raise RuntimeError(frame["d"])
                return dict(frame["d"])

    # The flood

    def flood(self, to: str, body: str, in_flight: int, *, ids: bool, each: int = 1) -> None:
        """Begin: ``in_flight`` messages at once, then one for every ``each`` that come.

        Args:
            to: the sid to send to, or ``room``.
            body: of the message.
            in_flight: messages at once.
            ids: give each message a request id, so that the server replies as well.
            each: deliveries that one message of this member's makes.
        """
        target = json.dumps({"sid": to} if to != "room" else "room")
        tail = f'"to":{target},"d":{{"body":"{body}"}}}}'
        head = '{"t":"msg",' + ('"id":"0000000000",' if ids else "")
        frame = masked((head + tail).encode())
        place = frame.find(b"0000000000") if ids else len(frame)
        self._head, self._tail = frame[:place], frame[place + 10 :]
        self._each, self._flooding, self._sending, self._buffer = each, True, True, b""
        self._send(in_flight)

    def stop(self) -> None:
        """Send no more."""
        self._sending = False

    def _send(self, count: int) -> None:
        self.sent += count
        if not self._tail:
            self._transport.write(self._head * count)
            return
        first = self.sent - count
        self._transport.write(
            b"".join(
                b"%b%010d%b" % (self._head, number, self._tail) for number in range(first, first + count)
            )
        )

    def _flooded(self, data: bytes) -> None:
        data = self._buffer + data
        # Frames of an echo begin alike; a needle that is cut in two is found with the rest.
        found = data.count(NEEDLE)
        self._buffer = data[-(len(NEEDLE) - 1) :]
        self.delivered += found
        self._owed += found
        ready, self._owed = divmod(self._owed, self._each)
        if ready and self._sending:
            self._send(ready)


async def open_client(url: str, subprotocol: str | None = None) -> LoadClient:
    """Connect, trying again while the server starts or has too many newcomers."""
    host, _, port = urlsplit(url).netloc.partition(":")
    loop = asyncio.get_running_loop()
    for _ in range(200):
        try:
            _, client = await loop.create_connection(LoadClient, host, int(port))
            client.upgrade(url, subprotocol)
            if await client.upgraded():
                return client
        except ConnectionError:
            pass
        await asyncio.sleep(0.05)
    raise RuntimeError("the server does not answer")
