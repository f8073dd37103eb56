"""Encoded frames into aiortc and out of it: it packs them as they are, and is kept from decoding them.

This file touches what aiortc keeps private, which has no public way to hand out an encoded frame.
``tests/integration/probe/test_webrtc.py`` notices changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from aiortc import RTCRtpReceiver
from aiortc.mediastreams import MediaStreamTrack
from av import Packet

from callcluster_probe.assembly import FrameAssembler, Part
from callcluster_probe.e2ee.frames import Source

CLOCK_RATES: dict[Source, int] = {"mic": 48_000, "cam": 90_000, "screen": 90_000}
"""RTP time stamps a second."""
QUEUE_FRAMES = 64


class SealedTrack(MediaStreamTrack):
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


class Tap:
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


def tap(receiver: RTCRtpReceiver, source: Source, on_frame: Callable[[Source, bytes], None]) -> Tap:
    """Let whole frames of a receiver come to ``on_frame``, sealed as they are."""
    made = Tap(source, on_frame)
    for name in ("_RTCRtpReceiver__jitter_buffer", "_RTCRtpReceiver__decoder_queue"):
        getattr(receiver, name)  # fail loudly where a release of aiortc renamed it
        setattr(receiver, name, made)
    return made
