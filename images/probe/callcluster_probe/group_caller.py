"""A member of a call of many: sends the clip, and compares what it gets with it."""

from __future__ import annotations

from callcluster_probe.clip import SOUND_S, SOUNDS_PER_PICTURE, Clip, picture_timestamp, sound_timestamp
from callcluster_probe.e2ee.frames import Source
from callcluster_probe.group_member import GroupMember
from callcluster_probe.member import MemberSettings
from callcluster_probe.performer import Performer


class GroupCaller(Performer):
    """One member; frames that open are what their sender sealed, so no decoder is needed to judge them.

    Args:
        number: what reports call it.
    """

    member: GroupMember

    def __init__(self, number: int, settings: MemberSettings, clip: Clip) -> None:
        super().__init__(SOUND_S)
        self.number = number
        self.member = GroupMember(settings, self)
        self.first_frames: dict[str, float] = {}
        """By sender: time of the event loop when its first frame decrypted; seconds."""
        self.wrong = 0
        """Frames that decrypted and are none of the clip's."""
        self._clip = clip
        self._picture = 0

    def opened(self, sid: str, source: Source) -> int:
        """Frames of one track of ``sid`` that decrypted."""
        keys = self.member.keys
        remote = keys.remotes.get(sid) if keys else None
        return remote.counts[source].opened if remote else 0

    def perform(self, tick: int) -> None:
        """See ``Performer``: a sound each time, and a picture now and then."""
        sounds, pictures = self._clip.sounds, self._clip.pictures
        self.member.send("mic", sounds[tick % len(sounds)], sound_timestamp(tick))
        if tick % SOUNDS_PER_PICTURE == 0:
            sent = self.member.send("cam", pictures[self._picture], picture_timestamp(tick))
            self._picture = (self._picture + 1) % len(pictures) if sent else 0

    def frame_opened(self, sid: str, source: Source, frame: bytes) -> None:
        """See ``Listener``."""
        self.first_frames.setdefault(sid, self.loop.time())
        self.wrong += not self._clip.holds(frame)

    def key_frame_wanted(self) -> None:
        """See ``Listener``: the clip begins with one."""
        self._picture = 0
