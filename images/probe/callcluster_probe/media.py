"""Test media that can be recognised at the other end: a numbered picture and a tone, in VP8 and Opus."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from fractions import Fraction

import av
from av import AudioFrame, CodecContext, Packet, VideoFrame
from av.video.frame import PictureType

from callcluster_probe.e2ee.frames import Source

WIDTH, HEIGHT = 160, 120
BARS = 16
BAR_WIDTH = WIDTH // BARS
DARK, LIGHT = 40, 210
NUMBERS = 1 << 12
"""The picture carries its number modulo this, and four bits of checksum, in sixteen bars."""
SAMPLE_RATE = 48_000
FRAME_SAMPLES = 960
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE
FRAMES_PER_PICTURE = 5
"""Audio frames between two pictures: ten pictures a second."""
TONES_HZ = (500, 750)
"""One for each member; both have whole periods in one audio frame."""
AUDIO_TIME_BASE = Fraction(1, SAMPLE_RATE)
VIDEO_TIME_BASE = Fraction(1, 90_000)


class Camera:
    """Encodes numbered pictures with VP8."""

    def __init__(self) -> None:
        self._codec = CodecContext.create("libvpx", "w")
        self._codec.width, self._codec.height = WIDTH, HEIGHT
        self._codec.pix_fmt = "yuv420p"
        self._codec.bit_rate = 100_000
        self._codec.time_base = VIDEO_TIME_BASE
        self._codec.gop_size = 3_000
        self._codec.options = {"deadline": "realtime", "cpu-used": "-8", "lag-in-frames": "0"}

    def picture(self, number: int, timestamp: int, key_frame: bool) -> bytes:
        """The encoded picture ``number``; ``timestamp`` in 1/90000 s."""
        frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        code = number % NUMBERS
        bits = code << 4 | _checksum(code)
        row = b"".join(
            bytes([LIGHT if bits >> (BARS - 1 - bar) & 1 else DARK]) * BAR_WIDTH for bar in range(BARS)
        )
        for plane, line in zip(
            frame.planes, (row, bytes([128]) * (WIDTH // 2), bytes([128]) * (WIDTH // 2)), strict=True
        ):
            plane.update(line.ljust(plane.line_size, b"\0") * plane.height)
        frame.pts, frame.time_base = timestamp, VIDEO_TIME_BASE
        frame.pict_type = PictureType.I if key_frame else PictureType.NONE
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


class Microphone:
    """Encodes a tone with Opus."""

    def __init__(self, tone_hz: int, frame_samples: int = FRAME_SAMPLES) -> None:
        self._frame_samples = frame_samples
        self._codec = CodecContext.create("libopus", "w")
        self._codec.options = {"frame_duration": str(1_000 * frame_samples // SAMPLE_RATE)}
        self._codec.bit_rate = 32_000
        self._codec.format = "s16"
        self._codec.layout = "mono"
        self._codec.sample_rate = SAMPLE_RATE
        self._codec.time_base = AUDIO_TIME_BASE
        turn = 2 * math.pi * tone_hz / SAMPLE_RATE
        self._samples = array(
            "h", (int(8_000 * math.sin(turn * n)) for n in range(frame_samples))
        ).tobytes()

    def sound(self, timestamp: int) -> list[bytes]:
        """The next encoded frame: one, but none at first, while the encoder looks ahead."""
        frame = AudioFrame("s16", "mono", self._frame_samples)
        frame.planes[0].update(self._samples)
        frame.sample_rate = SAMPLE_RATE
        frame.pts, frame.time_base = timestamp, AUDIO_TIME_BASE
        return [bytes(packet) for packet in self._codec.encode(frame)]


@dataclass(slots=True)
class Seen:
    """What came of one track after decryption."""

    decoded: int = 0
    matched: int = 0
    """Decoded frames that show what the sender put in."""


class Screen:
    """Decodes pictures and checks their numbers."""

    def __init__(self) -> None:
        self.seen = Seen()
        self._codec = CodecContext.create("vp8", "r")

    def show(self, data: bytes) -> bool:
        """Decode an encoded picture.

        Returns:
            Whether it could be decoded; if not a key frame is needed.
        """
        try:
            frames = self._codec.decode(Packet(data))
        except av.FFmpegError:
            return False
        for frame in frames:
            self.seen.decoded += 1
            self.seen.matched += _reads_right(frame)
        return True


class Speaker:
    """Decodes sound and listens for a tone."""

    def __init__(self, tone_hz: int) -> None:
        self.seen = Seen()
        self._tone_hz = tone_hz
        self._codec = CodecContext.create("libopus", "r")
        self._codec.format = "s16"
        self._codec.layout = "mono"
        self._codec.sample_rate = SAMPLE_RATE

    def play(self, data: bytes) -> None:
        """Decode an encoded frame; what can't be decoded is not counted."""
        try:
            frames = self._codec.decode(Packet(data))
        except av.FFmpegError:
            return
        for frame in frames:
            self.seen.decoded += 1
            samples = array("h", bytes(frame.planes[0])[: frame.samples * 2])
            self.seen.matched += _share_of_tone(samples, self._tone_hz) > 0.5


def timestamp_of(source: Source, tick: int) -> int:
    """RTP time stamp of the audio frame or picture sent at ``tick`` (20 ms each)."""
    return tick * FRAME_SAMPLES if source == "mic" else tick * 90_000 * FRAME_SAMPLES // SAMPLE_RATE


def _checksum(code: int) -> int:
    return (code ^ code >> 4 ^ code >> 8 ^ 0b1010) & 0xF


def _reads_right(frame: VideoFrame) -> bool:
    if (frame.width, frame.height) != (WIDTH, HEIGHT):
        return False
    plane = frame.planes[0]
    middle = bytes(plane)[plane.line_size * (HEIGHT // 2) :]
    bits = 0
    for bar in range(BARS):
        bits = bits << 1 | (middle[bar * BAR_WIDTH + BAR_WIDTH // 2] > (DARK + LIGHT) // 2)
    return bits & 0xF == _checksum(bits >> 4)


def _share_of_tone(samples: array[int], tone_hz: int) -> float:
    """Part of the energy that lies at ``tone_hz`` (Goertzel)."""
    energy = sum(sample * sample for sample in samples)
    if energy == 0:
        return 0.0
    factor = 2 * math.cos(2 * math.pi * tone_hz / SAMPLE_RATE)
    last = before = 0.0
    for sample in samples:
        last, before = sample + factor * last - before, last
    power = last * last + before * before - factor * last * before
    return 2 * power / (len(samples) * energy)
