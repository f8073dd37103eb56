"""A WebSocket that meters what never becomes a message: control frames, and bytes before hello."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from callcluster_common.messages.types import CloseCode
from callcluster_common.rates import Bucket, Rate
from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from callcluster_signaling.allowance import Rates
from callcluster_signaling.limits import ICE, KEYS, STRIKES
from callcluster_signaling.links import CLOSE_SECONDS, MAX_UNREAD_BYTES
from callcluster_signaling.metrics import Counts

CONTROL = Rate(5, 60)
"""Pings and pongs: browsers send none by themselves, libraries one every 20 seconds or so."""
MAX_BYTES_BEFORE_HELLO = 128 * 1024
"""The handshake, ``hello``, and what a client sends without waiting for the reply."""
SLICE_BYTES = 1024
"""Parsed at once, at most 170 frames: the event loop hands over 256 KiB, which take half a second."""


class MeteredConnection(ServerConnection):
    """Cuts off peers that flood below the level of messages."""

    def __init__(
        self, protocol: ServerProtocol, server: Server, *, counts: Counts, rates: Rates, **options: Any
    ) -> None:
        """Begin; ``options`` are those of the library."""
        super().__init__(protocol, server, **options)
        self.settled = False
        """Whether the client said hello: from then on its session counts its bytes."""
        self._counts = counts
        self._control = Bucket(CONTROL, self.loop.time())
        self._bytes = 0
        self._frames = 0
        # More than this at once is beyond what any session forgives.
        self._most_frames = rates.messages.burst + ICE.burst + KEYS.burst + STRIKES.burst

    def data_received(self, data: bytes) -> None:
        """Parse slice by slice, and nothing more once the connection is given up."""
        self._frames = 0
        for start in range(0, len(data), SLICE_BYTES):
            if self.transport.is_closing():
                return
            part = data[start : start + SLICE_BYTES]
            if not self.settled:
                self._bytes += len(part)
                if self._bytes > MAX_BYTES_BEFORE_HELLO:
                    self._cut("bytes_before_hello")
                    return
            super().data_received(part)
            if self._frames > self._most_frames and self.protocol.state is State.OPEN:
                self._shut()

    def process_event(self, event: Event) -> None:
        """Count a frame before it goes where the library takes it."""
        if isinstance(event, Frame):
            if event.opcode in (Opcode.PING, Opcode.PONG):
                if self._control.take(self.loop.time()):
                    self._cut("control_flood")
                elif event.opcode is Opcode.PING and self._unread > MAX_UNREAD_BYTES:
                    self._cut("pongs_unread")
            else:
                self._frames += 1
        super().process_event(event)

    def send_data(self) -> None:
        """Write in one go, and nothing to a lost transport: asyncio logs each write to one."""
        writes = self.protocol.data_to_send()
        if self.transport.is_closing():
            return
        data = b"".join(writes)
        if data:
            self.transport.write(data)
        # An empty write stands for the end of the stream.
        if b"" in writes:
            with suppress(OSError):
                self.transport.write_eof()

    @property
    def _unread(self) -> int:
        return self.transport.get_write_buffer_size()

    def _cut(self, reason: str) -> None:
        """End the connection without a word."""
        if not self.transport.is_closing():
            self._counts.cut[reason] += 1
            self.transport.abort()

    def _shut(self) -> None:
        """End the connection as a session does that was flooded; what else arrives is discarded."""
        self.protocol.fail(CloseCode.RATE_LIMITED, "too many frames at once")
        self.send_data()
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
