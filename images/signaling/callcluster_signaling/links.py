"""One WebSocket: writes to it without waiting, and gives up on peers that do not read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from callcluster_common.messages.types import CloseCode
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.exceptions import ConnectionClosed

from callcluster_signaling.effects import Effect
from callcluster_signaling.session import Session

if TYPE_CHECKING:
    from callcluster_signaling.room import Room

MAX_UNREAD_BYTES = 1 << 20
MAX_UNREAD_FRAMES = 256
"""What may wait for one peer: whichever comes first ends the connection with 4002."""


class Link:
    """A socket, its session, and the room that it sits in."""

    __slots__ = (
        "_slow",
        "_unread",
        "busy",
        "claim",
        "ending",
        "heard",
        "pinged",
        "pong",
        "room",
        "session",
        "ws",
    )

    def __init__(self, ws: ServerConnection, session: Session, now: float, slow: set[Link]) -> None:
        """Begin; the link puts itself into ``slow`` when its peer does not read."""
        self.ws = ws
        self.session = session
        self.claim = ""
        """This socket's right to speak for its member."""
        self.room: Room | None = None
        self.heard = now
        self.busy = False
        """Whether an effect of its own request is being carried out."""
        self.ending: list[Effect] | None = None
        """How to end when that is done."""
        self.pinged = False
        self.pong: asyncio.Future[float] | None = None
        self._slow = slow
        self._unread = 0

    @property
    def closed_for_good(self) -> bool:
        """Whether this side closed with a code that tells the client not to come back."""
        sent = self.ws.protocol.close_sent
        return sent is not None and sent.code >= CloseCode.BAD_TOKEN

    async def ping(self) -> None:
        """Ping; ``pong`` is done when the peer answered."""
        try:
            self.pong = asyncio.ensure_future(await self.ws.ping())
        except ConnectionClosed:
            pass  # the connection's own loop sees it

    def send(self, frame: bytes) -> None:
        """Write one frame."""
        fan_out((self,), frame)

    def count(self) -> None:
        """A frame was written: see how much the peer has left unread."""
        size = self.ws.transport.get_write_buffer_size()
        if not size:
            self._unread = 0
            return
        self._unread += 1
        if size > MAX_UNREAD_BYTES or self._unread > MAX_UNREAD_FRAMES:
            self._slow.add(self)


def fan_out(links: Sequence[Link], frame: bytes) -> None:
    """Write one frame, encoded once, to several sockets."""
    broadcast([link.ws for link in links], frame, text=True)
    for link in links:
        link.count()
