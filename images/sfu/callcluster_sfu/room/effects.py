"""What a room wants done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from callcluster_sfu.negotiation import Command


@dataclass(frozen=True, slots=True)
class TrackOf:
    """A published track as members know it."""

    name: str
    member: str
    kind: str
    mid: str
    """Of the member's own section that it sends on."""
    muted: bool
    """Whether nobody gets anything of it."""


@dataclass(frozen=True, slots=True)
class Do:
    """Tell the plane."""

    command: Command


@dataclass(frozen=True, slots=True)
class Answered:
    """Send ``to`` the answer to its offer."""

    to: str
    sdp: str
    published: Mapping[str, str]
    """Names of the member's own tracks by mid."""
    unserved: tuple[str, ...]
    """Mids that wished for more than they got."""


@dataclass(frozen=True, slots=True)
class Declined:
    """Tell ``to`` that its request changed nothing, and why."""

    to: str
    reason: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """The offer of ``to`` changed nothing, and shall be handed in again later."""

    to: str


@dataclass(frozen=True, slots=True)
class Announced:
    """Tell ``to`` of tracks that it may ask for, or that have been muted or are no longer."""

    to: tuple[str, ...]
    tracks: tuple[TrackOf, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """Tell ``to`` of tracks, by name, that are no more."""

    to: tuple[str, ...]
    tracks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Tell ``to`` that its connection is no more, and to offer from a new one."""

    to: str


Effect = Do | Answered | Declined | Postponed | Announced | Ended | Reconnect
