"""Who hears what happens to a member."""

from __future__ import annotations

from callcluster_probe.e2ee.frames import Source


class Listener:
    """Hears what happens to a member; all calls come in the event loop, and none may block.

    Who extends it says what it wants to hear, and does nothing about the rest.
    """

    def frame_opened(self, sid: str, source: Source, frame: bytes) -> None:
        """A frame of ``sid`` decrypted."""

    def key_frame_wanted(self) -> None:
        """Another member needs a video key frame."""

    def message(self, sid: str, message: object) -> None:
        """``sid`` sent an application message that opened."""

    def went_down(self) -> None:
        """No server carries the session now."""

    def resumed(self, seconds: float) -> None:
        """The session was taken up again, ``seconds`` after it went down."""

    def rejoined(self) -> None:
        """The session was lost, and the member is in the room again as a new one."""

    def ended(self, reason: str) -> None:
        """The session is over."""
