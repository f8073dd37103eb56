"""A member with test media: sends a picture and a tone, and watches and hears those of the others."""

from __future__ import annotations

from callcluster_probe.e2ee.frames import Source
from callcluster_probe.media import (
    FRAME_S,
    FRAMES_PER_PICTURE,
    TONES_HZ,
    Camera,
    Microphone,
    Screen,
    Speaker,
    timestamp_of,
)
from callcluster_probe.member import Member, MemberSettings
from callcluster_probe.performer import Performer


class Caller(Performer):
    """One member of a call of two: sends the tone with its index in ``TONES_HZ``, hears the other."""

    def __init__(self, settings: MemberSettings, tone: int) -> None:
        super().__init__(FRAME_S)
        self.member = Member(settings, self)
        self.screen = Screen()
        self.speaker = Speaker(TONES_HZ[1 - tone])
        self.first_frame_at: float | None = None
        """Time of the event loop when the first frame of another member decrypted; seconds."""
        self._camera, self._microphone = Camera(), Microphone(TONES_HZ[tone])
        self._key_frame = True

    def perform(self, tick: int) -> None:
        """See ``Performer``: a sound each time, and a picture now and then."""
        timestamp = timestamp_of("mic", tick)
        for sound in self._microphone.sound(timestamp):
            self.member.send("mic", sound, timestamp)
        if tick % FRAMES_PER_PICTURE == 0:
            key_frame, self._key_frame = self._key_frame, False
            timestamp = timestamp_of("cam", tick)
            picture = self._camera.picture(tick // FRAMES_PER_PICTURE, timestamp, key_frame)
            if not self.member.send("cam", picture, timestamp):
                self._key_frame = True

    def frame_opened(self, sid: str, source: Source, frame: bytes) -> None:
        """See ``Listener``."""
        if self.first_frame_at is None:
            self.first_frame_at = self.loop.time()
        if source == "mic":
            self.speaker.play(frame)
        elif not self.screen.show(frame):
            self.member.want_key_frame(sid, source)

    def key_frame_wanted(self) -> None:
        """See ``Listener``."""
        self._key_frame = True
