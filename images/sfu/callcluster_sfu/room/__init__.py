"""One call at the SFU: who is in it, what they publish, and who gets what; decides on data alone."""

from callcluster_sfu.room.effects import (
    Announced,
    Answered,
    Declined,
    Do,
    Effect,
    Ended,
    Postponed,
    Reconnect,
    TrackOf,
)
from callcluster_sfu.room.limits import RoomLimits
from callcluster_sfu.room.room import Room, Wish

__all__ = [
    "Announced",
    "Answered",
    "Declined",
    "Do",
    "Effect",
    "Ended",
    "Postponed",
    "Reconnect",
    "Room",
    "RoomLimits",
    "TrackOf",
    "Wish",
]
