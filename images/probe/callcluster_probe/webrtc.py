"""One peer connection to one member, carrying encoded frames that are sealed already.

This file and ``servers.py`` touch what aiortc and aioice keep private: aiortc decodes what it receives and
has no public way to hand out the encoded frame. ``tests/integration/probe/test_webrtc.py`` notices changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from aioice import Candidate
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcconfiguration import RTCBundlePolicy, RTCIceTransportPolicy
from aiortc.sdp import candidate_from_sdp
from av import Packet
from callcluster_common.messages.client import IceData
from callcluster_common.messages.types import IceCandidate, IceServer

from callcluster_probe.assembly import FrameAssembler, Part
from callcluster_probe.e2ee.frames import SOURCES, Source
from callcluster_probe.servers import Servers

CLOCK_RATES: dict[Source, int] = {"mic": 48_000, "cam": 90_000, "screen": 90_000}
"""RTP time stamps a second."""
CODECS = {"audio": ("audio/opus",), "video": ("video/VP8", "video/rtx")}
QUEUE_FRAMES = 64
END_OF_CANDIDATES = "a=end-of-candidates\r\n"

TurnTransport = Literal["udp", "tcp", "tls"]


@dataclass(frozen=True, slots=True)
class Route:
    """The nominated pair: candidate types of both ends, and the transport from here to the first hop."""

    local: str
    remote: str
    protocol: str

    @property
    def relayed(self) -> bool:
        """Whether a TURN server carries the media."""
        return "relay" in (self.local, self.remote)


@dataclass(frozen=True, slots=True)
class Packets:
    """Received and lost RTP packets of all tracks."""

    received: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class IceSettings:
    """How to find a route."""

    servers: tuple[IceServer, ...] = ()
    relay_only: bool = False
    turn_transport: TurnTransport | None = None
    """Use TURN over this transport only; ``None``: the first that the servers offer."""

    def usable(self) -> list[RTCIceServer]:
        """What aioice can use: it takes one TURN address, so the choice is made here."""
        chosen: list[RTCIceServer] = []
        for server in self.servers:
            urls = [url for url in server.urls if self._wanted(url)]
            if urls:
                chosen.append(RTCIceServer(urls, server.username or None, server.credential or None))
        return chosen

    def turn_url(self) -> str | None:
        """The address of the TURN server that will be used."""
        urls = (url for server in self.usable() for url in server.urls if url.startswith("turn"))
        return next(urls, None)

    def _wanted(self, url: str) -> bool:
        if not url.startswith("turn") or self.turn_transport is None:
            return True
        if url.startswith("turns:"):
            return self.turn_transport == "tls"
        return self.turn_transport == ("tcp" if url.endswith("transport=tcp") else "udp")


class NegotiationError(Exception):
    """A description or candidate can't be used, or the connection is gone."""


class PeerLink:
    """A connection with three media sections, in the order of ``SOURCES``.

    Args:
        ice: servers and policy.
        sends: the sources that this side will send; it receives all.
        on_frame: called with the source and the sealed frame, in the event loop.
        on_key_frame: the other side asks for a key frame.
        on_state: called with ``connected``, ``failed`` or ``closed``.
        on_candidates: called with what is to be told to the other side behind a description.
    """

    def __init__(
        self,
        ice: IceSettings,
        sends: Collection[Source],
        on_frame: Callable[[Source, bytes], None],
        on_key_frame: Callable[[], None],
        on_state: Callable[[str], None],
        on_candidates: Callable[[IceData], None],
    ) -> None:
        policy = RTCIceTransportPolicy.RELAY if ice.relay_only else RTCIceTransportPolicy.ALL
        self._connection = RTCPeerConnection(
            RTCConfiguration(ice.usable(), policy, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._on_state = on_state
        self._on_candidates = on_candidates
        self._tracks: dict[Source, _SealedTrack] = {}
        self._taps: dict[Source, _Tap] = {}
        self._remote_sdp = ""
        self._remote_ended = False
        self._described = False
        self._describing: asyncio.Task[None] | None = None
        for source in SOURCES:
            kind = "audio" if source == "mic" else "video"
            if source in sends:
                track = self._tracks[source] = _SealedTrack(kind, CLOCK_RATES[source])
                transceiver = self._connection.addTransceiver(track, "sendrecv")
                vars(transceiver.sender)["_send_keyframe"] = on_key_frame
            else:
                transceiver = self._connection.addTransceiver(kind, "recvonly")
            known = RTCRtpReceiver.getCapabilities(kind)
            assert known is not None
            transceiver.setCodecPreferences([c for c in known.codecs if c.mimeType in CODECS[kind]])
            self._taps[source] = _tap(transceiver.receiver, source, on_frame)
        self._ice_transport = self._connection.getTransceivers()[0].receiver.transport.transport
        self._ice = self._ice_transport._connection
        self._servers = Servers(self._ice, self._found, self._found_all)
        self._connection.on("connectionstatechange", self._state_changed)

    @property
    def state(self) -> str:
        """``new``, ``connecting``, ``connected``, ``failed`` or ``closed``."""
        return self._connection.connectionState

    @property
    def awaits_answer(self) -> bool:
        """Whether this side has an offer standing."""
        return self._connection.signalingState == "have-local-offer"

    @property
    def relay_trouble(self) -> str | None:
        """Why this side can't have a relay, in words; ``None`` while it has one, or may yet get it."""
        return self._servers.relay_trouble

    def fail_if_broken(self) -> None:
        """Raise what ended the asking for addresses, which only a bug does."""
        self._servers.fail_if_broken()

    async def offer(self) -> str:
        """An offer with the candidates that are known at once; with relays alone, with those.

        Raises:
            NegotiationError: the connection is gone.
        """
        with _one_error("making an offer"):
            return await self._describe(await self._connection.createOffer())

    async def answer(self, offer: str) -> str:
        """Answer an offer, with candidates as in ``offer``.

        Raises:
            NegotiationError: the offer is not usable.
        """
        await self._set_remote(offer, "offer")
        with _one_error("making an answer"):
            return await self._describe(await self._connection.createAnswer())

    async def accept(self, answer: str) -> None:
        """Take the answer to this side's offer.

        Raises:
            NegotiationError: the answer is not usable.
        """
        await self._set_remote(answer, "answer")

    def same_transport(self, offer: str) -> bool:
        """Whether ``offer`` goes on with the present transport; aiortc can't restart ICE."""
        return bool(self._remote_sdp) and _transport_of(offer) == _transport_of(self._remote_sdp)

    async def add_candidates(self, candidates: list[IceCandidate], end: bool) -> None:
        """Add trickled candidates; what is none, or of another description, is ignored, as browsers do.

        Raises:
            NegotiationError: the connection is gone.
        """
        for candidate in candidates:
            if not candidate.candidate:
                end = True
                continue
            if candidate.username_fragment and candidate.username_fragment != self._remote_username():
                continue
            try:
                parsed = candidate_from_sdp(candidate.candidate.removeprefix("candidate:"))
            except (ValueError, IndexError, AssertionError):
                continue
            parsed.sdpMid, parsed.sdpMLineIndex = candidate.sdp_mid, candidate.sdp_m_line_index
            with _one_error("adding a candidate"):
                await self._connection.addIceCandidate(parsed)
        if end:
            await self._end_remote()

    def send(self, source: Source, frame: bytes, timestamp: int) -> None:
        """Send a sealed frame; ``timestamp`` in units of ``CLOCK_RATES``. Dropped while not connected."""
        if self.state == "connected" and source in self._tracks:
            self._tracks[source].put(frame, timestamp)

    def want_key_frame(self, source: Source) -> None:
        """Ask the other side for a key frame when its next packet comes."""
        self._taps[source].key_frame_wanted = True

    def route(self) -> Route | None:
        """The nominated pair, once there is one."""
        pair = self._ice._nominated.get(1)
        if pair is None:
            return None
        protocol = pair.local_candidate.transport.lower()
        if pair.local_candidate.type == "relay":
            protocol = "tls" if self._ice.turn_ssl else self._ice.turn_transport
        return Route(pair.local_candidate.type, pair.remote_candidate.type, protocol)

    async def packets(self) -> Packets:
        """What arrived so far."""
        stats = [s for s in (await self._connection.getStats()).values() if s.type == "inbound-rtp"]
        lost = sum(max(0, s.packetsLost) for s in stats)
        return Packets(sum(s.packetsReceived for s in stats), lost)

    async def close(self) -> None:
        """End the connection and free its ports; takes seconds where a TURN server is gone."""
        for track in self._tracks.values():
            track.stop()
        await self._servers.stop()
        if self._describing:
            await asyncio.wait([self._describing])  # sockets that aioice is about to open would stay open
        await self._servers.release(asyncio.create_task(self._connection.close()))

    async def _describe(self, description: RTCSessionDescription) -> str:
        self._describing = asyncio.create_task(self._apply(description))
        await asyncio.shield(self._describing)
        self._described = True
        self._servers.start()
        sdp: str = self._connection.localDescription.sdp
        return sdp if self._servers.finished else sdp.replace(END_OF_CANDIDATES, "")

    async def _apply(self, description: RTCSessionDescription) -> None:
        await self._ice_transport.iceGatherer.gather()
        if not self._ice.local_candidates:
            self._servers.start()
            await self._servers.finish()
        await self._connection.setLocalDescription(description)

    async def _set_remote(self, sdp: str, kind: str) -> None:
        known = sdp.replace(END_OF_CANDIDATES, "")
        with _one_error(f"taking the {kind}"):
            await self._connection.setRemoteDescription(RTCSessionDescription(known, kind))
        self._remote_sdp = sdp
        if known != sdp:
            await self._end_remote()

    def _remote_username(self) -> str:
        lines = (line.partition("a=ice-ufrag:") for line in self._remote_sdp.splitlines())
        return next((name for _, label, name in lines if label), "")

    async def _end_remote(self) -> None:
        """The other side has no more candidates. aioice may give up then: told when this side is done."""
        self._remote_ended = True
        if self._servers.finished:
            await self._ice_transport.addRemoteCandidate(None)

    def _found(self, candidate: Candidate) -> None:
        if self._described:
            mid = self._connection.getTransceivers()[0].mid
            told = IceCandidate(f"candidate:{candidate.to_sdp()}", mid, 0, self._ice.local_username)
            self._on_candidates(IceData([told]))

    async def _found_all(self) -> None:
        if self._described:
            self._on_candidates(IceData(end=True))
        if self._remote_ended:
            await self._end_remote()

    def _state_changed(self) -> None:
        if self.state in ("connected", "failed", "closed"):
            self._on_state(self.state)


class _SealedTrack(MediaStreamTrack):
    """Hands sealed frames to aiortc's sender, which packs encoded packets as they are."""

    def __init__(self, kind: str, clock_rate: int) -> None:
        super().__init__()
        self.kind = kind
        self._time_base = Fraction(1, clock_rate)
        self._frames: asyncio.Queue[Packet[Any]] = asyncio.Queue(QUEUE_FRAMES)

    def put(self, frame: bytes, timestamp: int) -> None:
        """Queue a frame; when the sender can't keep up the oldest one goes."""
        packet = Packet(frame)
        packet.pts = timestamp
        packet.time_base = self._time_base
        if self._frames.full():
            self._frames.get_nowait()
        self._frames.put_nowait(packet)

    async def recv(self) -> Packet[Any]:
        """The next frame."""
        return await self._frames.get()


class _Tap:
    """Sits where aiortc has its jitter buffer and the queue to its decoder: nothing gets decoded."""

    def __init__(self, source: Source, on_frame: Callable[[Source, bytes], None]) -> None:
        self._source = source
        self._on_frame = on_frame
        self._assembler = FrameAssembler()
        self.key_frame_wanted = False

    def add(self, packet: Any) -> tuple[bool, None]:
        """As the jitter buffer: takes a packet, says whether a key frame is needed."""
        if self._source == "mic":  # an Opus packet is a whole frame
            if packet._data:
                self._on_frame(self._source, packet._data)
            return False, None
        start = bool(packet.payload) and packet.payload[0] & 0x17 == 0x10  # RFC 7741, 4.2: S set, PID 0
        part = Part(start, bool(packet.marker), packet._data)
        lost, frames = self._assembler.add(packet.sequence_number, part)
        for frame in frames:
            self._on_frame(self._source, frame)
        wanted, self.key_frame_wanted = lost or self.key_frame_wanted, False
        return wanted, None

    def get(self) -> None:
        """As the queue: tells the decoder's thread to end at once."""

    def put(self, item: None) -> None:
        """As the queue: only ever gets the sign to end."""


def _tap(receiver: RTCRtpReceiver, source: Source, on_frame: Callable[[Source, bytes], None]) -> _Tap:
    tap = _Tap(source, on_frame)
    for name in ("_RTCRtpReceiver__jitter_buffer", "_RTCRtpReceiver__decoder_queue"):
        getattr(receiver, name)  # fail loudly where a release of aiortc renamed it
        setattr(receiver, name, tap)
    return tap


@contextmanager
def _one_error(doing: str) -> Iterator[None]:
    """For aiortc raises what comes up, down to IndexError for an SDP that it can't read."""
    try:
        yield
    except Exception as error:
        raise NegotiationError(f"{doing}: {error or type(error).__name__}") from error


def _transport_of(sdp: str) -> frozenset[str]:
    """What names a transport: ICE user fragment and certificate."""
    return frozenset(
        line for line in sdp.splitlines() if line.startswith(("a=ice-ufrag:", "a=fingerprint:"))
    )
