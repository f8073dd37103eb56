"""Numbers that are given out once."""

from __future__ import annotations

_SSRCS = 2**32 - 1


class Numbers:
    """Names peers, tracks, legs and SSRCs of one plane; none comes twice while the process lives.

    ``first_ssrc`` should be random (RFC 3550 section 8). One after another is then enough, since all that a
    peer hears on its transport has this one source. A number does not come back with the end of its leg:
    SRTP makes its nonces of the SSRC.
    """

    def __init__(self, first_ssrc: int) -> None:
        self._peer = 0
        self._track = 0
        self._leg = 0
        self._ssrc = first_ssrc

    def peer(self) -> int:
        """For the next transport."""
        self._peer += 1
        return self._peer

    def track(self) -> int:
        """For the next track."""
        self._track += 1
        return self._track

    def leg(self) -> int:
        """For the next leg."""
        self._leg += 1
        return self._leg

    def ssrc(self) -> int:
        """For the next stream; 1 to 2**32 - 1."""
        self._ssrc = self._ssrc % _SSRCS + 1
        return self._ssrc
