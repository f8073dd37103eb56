"""How large a call may grow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """Of one room; what one member may publish is in the negotiation's ``Policy``."""

    members: int = 50
    tracks: int = 150
    """That all members publish together."""
