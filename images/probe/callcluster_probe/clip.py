"""A few seconds of test media, encoded once for all members of a call of many."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from callcluster_probe.media import SAMPLE_RATE, TONES_HZ, Camera, Microphone

SOUND_S = 0.06
"""Of one Opus frame; the longest that is usual makes the fewest packets."""
SOUNDS_PER_PICTURE = 3
"""Nearly six pictures a second."""
PICTURES = 30
VIDEO_CLOCK = 90_000


@dataclass(frozen=True)
class Clip:
    """Encoded frames, to be sent over and over; the first picture is a key frame, and no other one."""

    sounds: tuple[bytes, ...]
    pictures: tuple[bytes, ...]

    def holds(self, frame: bytes) -> bool:
        """Whether this is one of its frames, to the byte."""
        return frame in self._all

    @cached_property
    def _all(self) -> frozenset[bytes]:
        return frozenset((*self.sounds, *self.pictures))


@lru_cache(maxsize=1)
def clip() -> Clip:
    """The one clip of this process."""
    camera, microphone = Camera(), Microphone(TONES_HZ[0], round(SOUND_S * SAMPLE_RATE))
    sounds = [
        sound
        for tick in range(PICTURES * SOUNDS_PER_PICTURE)
        for sound in microphone.sound(sound_timestamp(tick))
    ]
    pictures = [
        camera.picture(number, picture_timestamp(number * SOUNDS_PER_PICTURE), key_frame=not number)
        for number in range(PICTURES)
    ]
    return Clip(tuple(sounds), tuple(pictures))


def sound_timestamp(tick: int) -> int:
    """RTP time stamp of a sound that is sent at ``tick``, every ``SOUND_S``."""
    return round(tick * SOUND_S * SAMPLE_RATE)


def picture_timestamp(tick: int) -> int:
    """RTP time stamp of a picture that is sent at ``tick``."""
    return round(tick * SOUND_S * VIDEO_CLOCK)
