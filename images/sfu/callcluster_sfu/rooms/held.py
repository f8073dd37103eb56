"""One room in the service's hands."""

from __future__ import annotations

from dataclasses import dataclass, field

from callcluster_common.bus.posts import ToSfu
from callcluster_common.rates import Bucket
from callcluster_common.redis_keys import RoomKeys

from callcluster_sfu.rooms.seat import Seat


@dataclass(slots=True, eq=False)
class Held:
    """A room whose seat this SFU has, is about to take, or has given up while members are still served.

    Times are those of the event loop, in seconds.
    """

    keys: RoomKeys
    seat: Seat
    news: Bucket
    """How often members may be told of changes of tracks."""
    used_at: float
    """When it was last of use: two members had a transport."""
    seated: bool = False
    """Whether the seat was taken, and not given up since."""
    lost_at: float | None = None
    """Since when the lease is known to be gone."""
    regaining: bool = False
    """Whether the seat is being asked for again."""
    check_at: float = 0.0
    """When to compare it with its ledger."""
    mending: bool = False
    """Whether a comparison is under way."""
    waiting: list[ToSfu] = field(default_factory=list)
    """Posts that the comparison decides on."""
