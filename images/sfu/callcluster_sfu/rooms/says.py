"""What the SFU says to one member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from callcluster_sfu.room import TrackOf


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the member's offer ``seq`` on ``route``."""

    sid: str
    route: str
    seq: int
    sdp: str
    published: Mapping[str, str]
    """Names of the member's own tracks by mid."""
    unserved: tuple[str, ...]
    """Mids that wished for more than they got."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The member's offer ``seq`` changed nothing, and why."""

    sid: str
    route: str
    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Tracks:
    """All tracks that the member may ask for, and the route on which it shall."""

    sid: str
    route: str
    revision: int
    """Higher where the tracks are others than before; the same where they are merely repeated."""
    tracks: tuple[TrackOf, ...]


Say = Answer | Refusal | Tracks
