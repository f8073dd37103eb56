"""What goes on between this member and one other: offers, answers, candidates, and starting anew.

aiortc can't restart ICE, so a new route means a new connection; the old one carries media until the new one
stands. Browsers take the new offer as an ICE restart with a new certificate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from callcluster_common.messages.client import (
    Answer,
    ClientFrame,
    DescriptionData,
    Empty,
    Ice,
    IceData,
    Offer,
    OfferData,
    Restart,
)
from callcluster_common.messages.server import AnswerRelay, IceRelay, OfferRelay, RestartRelay
from callcluster_common.messages.types import ToMember

from callcluster_probe.e2ee.frames import Source
from callcluster_probe.transport import NegotiationError
from callcluster_probe.webrtc import PeerLink

ANSWER_WITHIN_S = 8.0
"""Without a connection after this time negotiation starts anew; each time it waits twice as long."""
EARLY_BATCHES = 64
"""So many batches of candidates wait for the description that they belong to."""

LinkFrame = OfferRelay | AnswerRelay | IceRelay | RestartRelay
Connect = Callable[[Callable[[str], None], Callable[[IceData], None]], PeerLink]


class Link:
    """The connection with one other member.

    Args:
        sid: the other member.
        offers: whether this member joined later: it offers first and after failures, and yields if both do.
        connect: makes a connection; it gets the callbacks for its state and its late candidates.
        post: sends a frame to the signaling server.
    """

    def __init__(
        self,
        sid: str,
        offers: bool,
        connect: Connect,
        post: Callable[[ClientFrame], None],
    ) -> None:
        self.sid = sid
        self.trouble = ""
        """Why the latest attempt to negotiate failed."""
        self._offers = offers
        self._connect = connect
        self._post = post
        self._current: PeerLink | None = None
        self._next: PeerLink | None = None
        self._made = 0.0
        self._early: list[IceData] = []
        self._work: asyncio.Queue[LinkFrame] = asyncio.Queue()
        self._closing: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._run())

    @property
    def connection(self) -> PeerLink | None:
        """The connection that carries media, or the one that may soon."""
        return self._current or self._next

    @property
    def connected(self) -> bool:
        """Whether media can go out."""
        return self._current is not None and self._current.state == "connected"

    def receive(self, frame: LinkFrame) -> None:
        """A frame came from the other side."""
        self._work.put_nowait(frame)

    def start_anew(self) -> None:
        """Look for a new route, as after new TURN credentials."""
        if self._offers:
            self._work.put_nowait(RestartRelay(d=Empty()))

    def send(self, source: Source, frame: bytes, timestamp: int) -> None:
        """Send a sealed frame; dropped while there is no connection."""
        if self._current:
            self._current.send(source, frame, timestamp)

    async def close(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        connections = [c for c in (self._current, self._next) if c]
        await asyncio.gather(*(c.close() for c in connections), *self._closing, return_exceptions=True)

    async def _run(self) -> None:
        patience = ANSWER_WITHIN_S
        if self._offers:
            await self._try(self._offer())
        while True:
            try:
                # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the result.
                async with asyncio.timeout(patience):
                    frame = await self._work.get()
            except TimeoutError:
                patience = ANSWER_WITHIN_S if self.connected else 2 * patience
                if not self.connected and self._offers:
                    await self._try(self._offer())
                elif not self.connected:
                    self._post(Restart(to=ToMember(self.sid)))
            else:
                await self._try(self._do(frame))

    async def _try(self, work: Coroutine[None, None, None]) -> None:
        """What fails now may go better with the next frame, or after more patience."""
        try:
            await work
        except NegotiationError as error:
            self.trouble = str(error)

    async def _do(self, frame: LinkFrame) -> None:
        match frame:
            case OfferRelay(d=data):
                await self._answer(data.sdp)
            case AnswerRelay(d=data):
                connection = self._next or self._current
                if connection and connection.awaits_answer:
                    await connection.accept(data.sdp)
                    await self._add_early(connection)
            case IceRelay(d=ice):
                connection = self._next or self._current
                if connection is None or connection.awaits_answer:
                    self._early = [*self._early, ice][-EARLY_BATCHES:]
                else:
                    await connection.add_candidates(ice.candidates, ice.end)
            case RestartRelay() if not self._negotiating():
                await self._offer()

    def _negotiating(self) -> bool:
        if self._next is None or self._next.state in ("failed", "closed"):
            return False
        return asyncio.get_running_loop().time() < self._made + ANSWER_WITHIN_S

    async def _offer(self) -> None:
        connection = self._renew()
        sdp = await connection.offer()
        self._post(Offer(to=ToMember(self.sid), d=OfferData(sdp)))

    async def _answer(self, sdp: str) -> None:
        connection = self._next or self._current
        if connection and connection.awaits_answer:
            if not self._offers:
                return  # both offered at once: the one who joined first has its way
            connection = None
        if connection is None or not connection.same_transport(sdp):
            connection = self._renew()
        answer = await connection.answer(sdp)
        self._post(Answer(to=ToMember(self.sid), d=DescriptionData(answer)))
        await self._add_early(connection)

    async def _add_early(self, connection: PeerLink) -> None:
        early, self._early = self._early, []
        for ice in early:
            await connection.add_candidates(ice.candidates, ice.end)

    def _renew(self) -> PeerLink:
        """A fresh connection beside the one that carries media."""
        if self._next:
            self._drop(self._next)
        self._early.clear()
        self._made = asyncio.get_running_loop().time()
        made: list[PeerLink] = []
        connection = self._next = self._connect(
            lambda state: self._changed(made[0], state), lambda ice: self._trickle(made[0], ice)
        )
        made.append(connection)
        return connection

    def _changed(self, connection: PeerLink, state: str) -> None:
        if state == "connected":
            if connection is self._next:
                old, self._current, self._next = self._current, connection, None
                if old:
                    self._drop(old)
        elif connection is self._next or (connection is self._current and self._next is None):
            self.trouble = f"the connection {state}"
            self.start_anew()

    def _trickle(self, connection: PeerLink, ice: IceData) -> None:
        if connection in (self._current, self._next):
            self._post(Ice(to=ToMember(self.sid), d=ice))

    def _drop(self, connection: PeerLink) -> None:
        task = asyncio.create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
