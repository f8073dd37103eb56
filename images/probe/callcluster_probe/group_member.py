"""A member of a call of three and more: its media goes through the SFU (docs/protocol.md, section 4)."""

from __future__ import annotations

import asyncio
import contextlib

from callcluster_common.messages.client import Offer
from callcluster_common.messages.server import (
    AnswerData,
    AnswerRelay,
    AnyServerFrame,
    Sfu,
    SfuData,
    SfuRefused,
    Track,
)
from callcluster_common.messages.types import SFU

from callcluster_probe.e2ee.frames import Source
from callcluster_probe.listener import Listener
from callcluster_probe.member import Member, MemberSettings
from callcluster_probe.sfu_link import SFULink
from callcluster_probe.transport import NegotiationError

ANSWER_WITHIN_S = 1.0
"""Offers and answers travel at most once: one without an answer is repeated."""
AGAIN_S = 1.0
"""What could not be negotiated is tried again after this time."""


class GroupMember(Member):
    """A member that connects with the SFU, and with no other member."""

    def __init__(self, settings: MemberSettings, listener: Listener) -> None:
        super().__init__(settings, listener)
        self.offered: SfuData | None = None
        """What the SFU said last; ``None`` before any did."""
        self.link: SFULink | None = None
        """The connection with the SFU, once there is one."""
        self.trouble = ""
        """Why the latest attempt to connect with it failed."""
        self._told = asyncio.Event()
        self._answers: asyncio.Queue[AnswerData] = asyncio.Queue()
        self._negotiating = asyncio.create_task(self._negotiate())

    @property
    def connected(self) -> bool:
        """Whether media can go out."""
        return self.link is not None and self.link.state == "connected"

    def fail_if_broken(self) -> None:
        """Raise what ended the negotiation, or the search for a route, which only a bug does."""
        if self._negotiating.done() and not self._negotiating.cancelled():
            self._negotiating.result()
        if self.link:
            self.link.fail_if_broken()

    def send(self, source: Source, frame: bytes, timestamp: int) -> bool:
        """See ``Member``; sealed and sent once, for all."""
        if self.keys is None or self.link is None or not self.connected:
            return False
        sealed = self.keys.seal(source, frame)
        if sealed is None:
            return False
        self.link.send(source, sealed, timestamp)
        return True

    def want_key_frame(self, sid: str, source: Source) -> None:
        """See ``Member``."""
        if self.link:
            self.link.want_key_frame(sid, source)

    async def close(self) -> None:
        """Leave, and free everything."""
        self._negotiating.cancel()
        await asyncio.gather(self._negotiating, return_exceptions=True)
        await super().close()
        if self.link:
            await self.link.close()

    def _link(self, sid: str, offers: bool) -> None:
        """Nothing goes from member to member."""

    def _received(self, frame: AnyServerFrame, now: float) -> None:
        match frame:
            case Sfu(d=told):
                self.offered = told
                self._told.set()
            case AnswerRelay(d=answer) if frame.by_sfu:
                self._answers.put_nowait(answer)
            case SfuRefused(d=refused):
                self.trouble = f"it refused: {refused.reason}"
            case _:
                super()._received(frame, now)

    async def _negotiate(self) -> None:
        while True:
            await self._told.wait()
            self._told.clear()
            assert self.offered is not None
            try:
                await self._follow(self.offered)
            except NegotiationError as error:
                self.trouble = str(error)
                await asyncio.sleep(AGAIN_S)
                self._told.set()

    async def _follow(self, told: SfuData) -> None:
        """Bring the connection to what the SFU has."""
        link = self.link
        if link is None or link.route_name != told.route:
            if link:
                await link.close()
            link = self.link = SFULink(
                told.route,
                self.ice,
                self.settings.sends,
                self._frame,
                self._listener.key_frame_wanted,
            )
            await self._exchange(link, told.tracks)
        elif not link.covers(told.tracks):
            await self._exchange(link, told.tracks)

    async def _exchange(self, link: SFULink, tracks: list[Track]) -> None:
        """Offer until it is answered, or nobody is there to answer."""
        data = await link.offer(tracks)
        while self.offered is not None and self.offered.route == link.route_name:
            self._post(Offer(to=SFU, d=data))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    answer = await self._answers.get()
                    while (answer.route, answer.seq) != (data.route, data.seq):
                        answer = await self._answers.get()
                await link.accept(answer.sdp)
                return
