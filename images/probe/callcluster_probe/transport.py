"""ICE, DTLS and RTP between this side and one other: a member, or an SFU.

This file and ``servers.py`` touch what aiortc and aioice keep private.
``tests/integration/probe/test_webrtc.py`` notices changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from aioice import Candidate
from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.rtcconfiguration import RTCBundlePolicy, RTCIceTransportPolicy
from callcluster_common.messages.types import IceServer

from callcluster_probe.e2ee.frames import Source
from callcluster_probe.servers import Servers
from callcluster_probe.tracks import CLOCK_RATES, SealedTrack

CODECS = {"audio": ("audio/opus",), "video": ("video/VP8", "video/rtx")}
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


class Transport:
    """One connection. Who extends it adds sections, the first ones before :meth:`_begin`.

    Args:
        ice: servers and policy.
        on_key_frame: the other side asks for a key frame.
        on_state: called with ``connected``, ``failed`` or ``closed``.
    """

    def __init__(
        self, ice: IceSettings, on_key_frame: Callable[[], None], on_state: Callable[[str], None]
    ) -> None:
        policy = RTCIceTransportPolicy.RELAY if ice.relay_only else RTCIceTransportPolicy.ALL
        self._connection = RTCPeerConnection(
            RTCConfiguration(ice.usable(), policy, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._on_key_frame = on_key_frame
        self._on_state = on_state
        self._tracks: dict[Source, SealedTrack] = {}
        self._remote_ended = False
        self._describing: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """``new``, ``connecting``, ``connected``, ``failed`` or ``closed``."""
        return self._connection.connectionState

    @property
    def relay_trouble(self) -> str | None:
        """Why this side can't have a relay, in words; ``None`` while it has one, or may yet get it."""
        return self._servers.relay_trouble

    def fail_if_broken(self) -> None:
        """Raise what ended the asking for addresses, which only a bug does."""
        self._servers.fail_if_broken()

    def send(self, source: Source, frame: bytes, timestamp: int) -> None:
        """Send a sealed frame; ``timestamp`` in units of ``CLOCK_RATES``. Dropped while not connected."""
        if self.state == "connected" and source in self._tracks:
            self._tracks[source].put(frame, timestamp)

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

    def _publish(self, source: Source, direction: Literal["sendrecv", "sendonly"]) -> RTCRtpTransceiver:
        """Add a section that sends ``source``."""
        track = self._tracks[source] = SealedTrack(kind_of(source), CLOCK_RATES[source])
        transceiver = self._connection.addTransceiver(track, direction)
        vars(transceiver.sender)["_send_keyframe"] = self._on_key_frame
        return _with_known_codecs(transceiver)

    def _receive(self, kind: Literal["audio", "video"]) -> RTCRtpTransceiver:
        """Add a section that only receives."""
        return _with_known_codecs(self._connection.addTransceiver(kind, "recvonly"))

    def _begin(self) -> None:
        """The first sections are there, and with them the transport that all will share."""
        self._ice_transport = self._connection.getTransceivers()[0].receiver.transport.transport
        self._ice = self._ice_transport._connection
        self._servers = Servers(self._ice, self._found, self._found_all)
        self._connection.on("connectionstatechange", self._state_changed)

    async def _describe(self, description: RTCSessionDescription) -> str:
        """Make ``description`` this side's, and begin to ask the servers."""
        self._describing = asyncio.create_task(self._apply(description))
        await asyncio.shield(self._describing)
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
        with one_error(f"taking the {kind}"):
            await self._connection.setRemoteDescription(RTCSessionDescription(known, kind))
        if known != sdp:
            await self._end_remote()

    async def _end_remote(self) -> None:
        """The other side has no more candidates. aioice may give up then: told when this side is done."""
        self._remote_ended = True
        if self._servers.finished:
            await self._ice_transport.addRemoteCandidate(None)

    def _found(self, candidate: Candidate) -> None:
        """A server gave another address."""

    async def _found_all(self) -> None:
        """No server will give another address."""
        if self._remote_ended:
            await self._end_remote()

    def _state_changed(self) -> None:
        if self.state in ("connected", "failed", "closed"):
            self._on_state(self.state)


def kind_of(source: Source) -> Literal["audio", "video"]:
    """The kind of media of a source."""
    return "audio" if source == "mic" else "video"


def _with_known_codecs(transceiver: RTCRtpTransceiver) -> RTCRtpTransceiver:
    known = RTCRtpReceiver.getCapabilities(transceiver.kind)
    assert known is not None
    transceiver.setCodecPreferences([c for c in known.codecs if c.mimeType in CODECS[transceiver.kind]])
    return transceiver


@contextmanager
def one_error(doing: str) -> Iterator[None]:
    """Whatever goes wrong is a ``NegotiationError``: aiortc raises anything where it can't read an SDP."""
    try:
        yield
    except Exception as error:
        raise NegotiationError(f"{doing}: {error or type(error).__name__}") from error
