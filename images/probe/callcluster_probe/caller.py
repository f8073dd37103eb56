"""A member with test media: sends a picture and a tone, and watches and hears those of the others."""

from __future__ import annotations

import asyncio

from callcluster_probe.e2ee.frames import Source
from callcluster_probe.e2ee.keys import FrameCounts
from callcluster_probe.listener import Listener
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

MOST_BEHIND_S = 0.5
"""A sender that fell further behind skips, instead of sending a burst."""


class Caller(Listener):
    """One member of the probe's call: sends the tone with its index in ``TONES_HZ``, hears the other."""

    def __init__(self, settings: MemberSettings, tone: int) -> None:
        self.member = Member(settings, self)
        self.screen = Screen()
        self.speaker = Speaker(TONES_HZ[1 - tone])
        self.first_frame_at: float | None = None
        """Time of the event loop when the first frame of another member decrypted; seconds."""
        self.ended_because: str | None = None
        self._tone = tone
        self._key_frame = True
        self._sending: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def join(self, timeout: float) -> None:
        """Enter the room, within ``timeout`` seconds, and start to send.

        Raises:
            SignalingError: the server can't be reached, or refuses.
        """
        await self.member.join(timeout, retry=False)
        self._sending = asyncio.create_task(self._send())

    async def close(self) -> None:
        """Leave."""
        if self._sending:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self.member.close()

    def fail_if_broken(self) -> None:
        """Raise what ended the sending or the search for a route, which only a bug does."""
        if self._sending and self._sending.done():
            self._sending.result()
        for link in self.member.links.values():
            if link.connection:
                link.connection.fail_if_broken()

    def counts(self, sid: str) -> FrameCounts:
        """Frames that came from ``sid``, on all tracks."""
        keys = self.member.keys
        remote = keys.remotes.get(sid) if keys else None
        counts = list(remote.counts.values()) if remote else []
        return FrameCounts(
            received=sum(count.received for count in counts),
            opened=sum(count.opened for count in counts),
            early=sum(count.early for count in counts),
        )

    def frame_opened(self, sid: str, source: Source, frame: bytes) -> None:
        """See ``Listener``."""
        if self.first_frame_at is None:
            self.first_frame_at = self._loop.time()
        if source == "mic":
            self.speaker.play(frame)
        elif not self.screen.show(frame):
            self.member.want_key_frame(sid, source)

    def key_frame_wanted(self) -> None:
        """See ``Listener``."""
        self._key_frame = True

    def ended(self, reason: str) -> None:
        """See ``Listener``."""
        self.ended_because = reason

    async def _send(self) -> None:
        camera, microphone = Camera(), Microphone(TONES_HZ[self._tone])
        start, tick = self._loop.time(), 0
        while True:
            timestamp = timestamp_of("mic", tick)
            for sound in microphone.sound(timestamp):
                self.member.send("mic", sound, timestamp)
            if tick % FRAMES_PER_PICTURE == 0:
                key_frame, self._key_frame = self._key_frame, False
                timestamp = timestamp_of("cam", tick)
                picture = camera.picture(tick // FRAMES_PER_PICTURE, timestamp, key_frame)
                if not self.member.send("cam", picture, timestamp):
                    self._key_frame = True
            tick += 1
            behind = self._loop.time() - start - tick * FRAME_S
            if behind > MOST_BEHIND_S:
                start += behind
            await asyncio.sleep(max(0.0, -behind))
