"""What an SFU has of a call: the payloads of its packets. And a talker, with the encryption or without."""

from __future__ import annotations

import itertools

import av
from av import CodecContext, Packet
from callcluster_probe.e2ee.frames import Source, is_key_frame
from callcluster_probe.group_member import GroupMember
from callcluster_probe.media import (
    BAR_WIDTH,
    BARS,
    FRAME_S,
    FRAMES_PER_PICTURE,
    NUMBERS,
    TONES_HZ,
    Camera,
    Microphone,
    Speaker,
    timestamp_of,
)
from callcluster_probe.member import MemberSettings
from callcluster_probe.performer import Performer

MIDDLE = 128
CHECKED_BITS = 4
TONE_FRAMES = 5


class PlainMember(GroupMember):
    """Sends what the encoder made, which no client can be told to do."""

    def send(self, source: Source, frame: bytes, timestamp: int) -> bool:
        """As the real one, without the seal."""
        if self.link is None or not self.connected:
            return False
        self.link.send(source, frame, timestamp)
        return True


class Capture(GroupMember):
    """Keeps what the SFU hands on, as it comes out of SRTP."""

    def __init__(self, settings: MemberSettings, listener: Performer) -> None:
        super().__init__(settings, listener)
        self.captured: dict[tuple[str, Source], list[bytes]] = {}
        """By sender and source, oldest first; pictures from a key frame on."""

    def of(self, sid: str, source: Source) -> list[bytes]:
        return self.captured.get((sid, source), [])

    def _frame(self, sid: str, source: Source, sealed: bytes) -> None:
        frames = self.captured.setdefault((sid, source), [])
        if source == "mic" or frames or is_key_frame(sealed):
            frames.append(sealed)
        else:
            self.want_key_frame(sid, source)
        super()._frame(sid, source, sealed)


class Talker(Performer):
    """Sends numbered pictures and a tone, if it has a camera."""

    member: GroupMember

    def __init__(self, settings: MemberSettings, kind: type[GroupMember] = GroupMember) -> None:
        super().__init__(FRAME_S)
        self.member = kind(settings, self)
        self._camera, self._microphone = Camera(), Microphone(TONES_HZ[0])
        self._pictures = 0
        self._key_frame = True

    def perform(self, tick: int) -> None:
        """See ``Performer``. A picture that can't go out has no number."""
        if not self.member.connected or "cam" not in self.member.settings.sends:
            return
        timestamp = timestamp_of("mic", tick)
        for sound in self._microphone.sound(timestamp):
            self.member.send("mic", sound, timestamp)
        if tick % FRAMES_PER_PICTURE == 0:
            timestamp, key_frame, self._key_frame = timestamp_of("cam", tick), self._key_frame, False
            picture = self._camera.picture(self._pictures, timestamp, key_frame)
            if self.member.send("cam", picture, timestamp):
                self._pictures += 1
            else:
                self._key_frame = True

    def frame_opened(self, sid: str, source: Source, frame: bytes) -> None:
        """See ``Listener``."""

    def key_frame_wanted(self) -> None:
        """See ``Listener``."""
        self._key_frame = True


def seen(frames: list[bytes]) -> int:
    """Pictures that show the number after that of the one before: a decoder makes something of anything."""
    codec = CodecContext.create("vp8", "r")
    numbers: list[int | None] = []
    for data in frames:
        try:
            numbers += [_number(picture) for picture in codec.decode(Packet(data))]
        except av.FFmpegError:
            numbers.append(None)
    return sum(
        one is not None and other is not None and (one + 1) % NUMBERS == other
        for one, other in itertools.pairwise(numbers)
    )


def heard(frames: list[bytes]) -> int:
    """Sounds with the talker's tone for a tenth of a second at least: noise has a tone now and then."""
    speaker = Speaker(TONES_HZ[0])
    matched = []
    for data in frames:
        before = speaker.seen.matched
        speaker.play(data)
        matched.append(speaker.seen.matched > before)
    runs = [len(list(run)) for is_tone, run in itertools.groupby(matched) if is_tone]
    return sum(run for run in runs if run >= TONE_FRAMES)


def _number(picture: av.VideoFrame) -> int | None:
    if picture.width != BARS * BAR_WIDTH:
        return None
    plane = picture.planes[0]
    row = bytes(plane)[plane.line_size * (picture.height // 2) :]
    bits = 0
    for bar in range(BARS):
        bits = bits << 1 | (row[bar * BAR_WIDTH + BAR_WIDTH // 2] > MIDDLE)
    return bits >> CHECKED_BITS
