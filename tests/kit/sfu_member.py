"""A member whose media goes by the SFU: the probe's session and keys, one aiortc connection in all.

It repeats an offer that gets no answer, as every client has to: offers and answers travel at most once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.rtcconfiguration import RTCBundlePolicy
from callcluster_common.messages.client import Offer, OfferData
from callcluster_common.messages.server import AnswerRelay, AnyServerFrame, Sfu, SfuData, SfuRefused
from callcluster_common.messages.types import SFU
from callcluster_probe.e2ee.frames import Source
from callcluster_probe.light import OPUS_SILENCE
from callcluster_probe.member import Member, MemberSettings
from callcluster_probe.tracks import CLOCK_RATES, SealedTrack, tap

FRAME_SECONDS = 0.05
ANSWER_SECONDS = 1.0
POLL_SECONDS = 0.02


class Connection:
    """One transport: sends a microphone, and receives each sound that it is told of."""

    def __init__(self, member: SFUMember, route: str) -> None:
        self.route = route
        self.microphone = SealedTrack("audio", CLOCK_RATES["mic"])
        self.received: dict[str, str] = {}
        """Mid by track."""
        self._member = member
        self._connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._seq = 0
        self._answers: asyncio.Queue[AnswerRelay] = asyncio.Queue()
        transceiver = self._connection.addTransceiver(self.microphone, "sendonly")
        known = RTCRtpReceiver.getCapabilities("audio")
        assert known is not None
        transceiver.setCodecPreferences([c for c in known.codecs if c.mimeType == "audio/opus"])

    @property
    def state(self) -> str:
        return self._connection.connectionState

    def answered(self, answer: AnswerRelay) -> None:
        if (answer.d.route, answer.d.seq) == (self.route, self._seq):
            self._answers.put_nowait(answer)

    async def negotiate(self, tracks: dict[str, str]) -> None:
        """Offer until it is answered; ``tracks``: the sender's sid of each one to receive."""
        wanted = []
        for track, sid in tracks.items():
            if track not in self.received:
                transceiver = self._connection.addTransceiver("audio", "recvonly")
                tap(transceiver.receiver, "mic", self._member.hearing(sid))
                wanted.append((track, transceiver))
        await self._connection.setLocalDescription(await self._connection.createOffer())
        self.received.update({track: transceiver.mid or "" for track, transceiver in wanted})
        self._seq += 1
        wants = {mid: track for track, mid in self.received.items() if track in tracks}
        data = OfferData(
            sdp=self._connection.localDescription.sdp, route=self.route, seq=self._seq, wants=wants
        )
        # On another route than this nobody answers any more.
        while self._member.offered is not None and self._member.offered.route == self.route:
            self._member.offer(Offer(to=SFU, d=data))
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await self._answers.get()
            except TimeoutError:
                continue
            description = RTCSessionDescription(answer.d.sdp, "answer")
            await self._connection.setRemoteDescription(description)
            # aiortc never connects where another description comes in between.
            while self.state in ("new", "connecting"):
                await asyncio.sleep(POLL_SECONDS)
            return

    async def close(self) -> None:
        self.microphone.stop()
        await self._connection.close()


class SFUMember(Member):
    """One member, which sends frames all the time; ``opened`` counts what decrypted, by sender."""

    def __init__(self, url: str, room: str, secret: bytes, token: str | None = None) -> None:
        super().__init__(MemberSettings((url,), room, secret, token, sends=("mic",)), self)
        self.opened: Counter[str] = Counter()
        self.arrived: Counter[str] = Counter()
        """Frames that came, opened or not."""
        self.refusals: list[str] = []
        self.offered: SfuData | None = None
        """What the SFU said last."""
        self.reason: str | None = None
        self.stays = False
        """Whether it keeps its connection, whatever route it is told of."""
        self.connection: Connection | None = None
        self._told = asyncio.Event()
        self._work: list[asyncio.Task[None]] = []

    def moves(self) -> None:
        """From now on it goes where it is told to."""
        self.stays = False
        self._told.set()

    async def __aenter__(self) -> SFUMember:
        await self.join(20.0, retry=True)
        self._work = [asyncio.create_task(self._negotiate()), asyncio.create_task(self._talk())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Leave the room, and free everything."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        self._work.clear()
        await self.close()
        if self.connection is not None:
            await self.connection.close()

    @property
    def tracks(self) -> dict[str, str]:
        """The sid of the sender of each sound that there is; others' pictures are not received."""
        told = [] if self.offered is None else self.offered.tracks
        return {track.track: track.sid for track in told if track.kind == "audio"}

    @property
    def muted(self) -> set[str]:
        """Whose tracks are handed on to nobody."""
        return set() if self.offered is None else {one.sid for one in self.offered.tracks if one.muted}

    def offer(self, frame: Offer) -> None:
        self._post(frame)

    def hearing(self, sid: str) -> Callable[[Source, bytes], None]:
        """What to do with frames of a track that is said to be that member's."""

        def heard(source: Source, sealed: bytes) -> None:
            self.arrived[sid] += 1
            self._frame(sid, source, sealed)

        return heard

    def mark(self) -> Counter[str]:
        """What was opened so far; to be compared with later."""
        return Counter(self.opened)

    async def _negotiate(self) -> None:
        while True:
            await self._told.wait()
            self._told.clear()
            told = self.offered
            assert told is not None
            if self.stays:
                continue
            if self.connection is None or self.connection.route != told.route:
                if self.connection is not None:
                    await self.connection.close()
                self.connection = Connection(self, told.route)
                # Alone first: of a bundle, aiortc heeds the candidates of the last section, where none are.
                await self.connection.negotiate({})
            if not set(self.tracks) <= set(self.connection.received):
                await self.connection.negotiate(self.tracks)

    async def _talk(self) -> None:
        tick = 0
        while True:
            connection = self.connection
            if self.keys is not None and connection is not None and connection.state == "connected":
                sealed = self.keys.seal("mic", OPUS_SILENCE)
                if sealed is not None:
                    connection.microphone.put(sealed, int(tick * FRAME_SECONDS * CLOCK_RATES["mic"]))
            tick += 1
            await asyncio.sleep(FRAME_SECONDS)

    def _received(self, frame: AnyServerFrame, now: float) -> None:
        match frame:
            case Sfu(d=told):
                self.offered = told
                self._told.set()
            case AnswerRelay() if frame.from_ == SFU:
                if self.connection is not None:
                    self.connection.answered(frame)
            case SfuRefused(d=refused):
                self.refusals.append(refused.reason)
            case _:
                super()._received(frame, now)

    def _link(self, sid: str, offers: bool) -> None:
        """No mesh: all media goes by the SFU."""

    # It listens to itself.

    def frame_opened(self, sid: str, source: Source, frame: bytes) -> None:
        self.opened[sid] += 1

    def key_frame_wanted(self) -> None:
        pass

    def message(self, sid: str, message: object) -> None:
        pass

    def went_down(self) -> None:
        pass

    def resumed(self, seconds: float) -> None:
        pass

    def rejoined(self) -> None:
        pass

    def ended(self, reason: str) -> None:
        self.reason = reason
