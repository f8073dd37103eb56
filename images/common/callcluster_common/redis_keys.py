"""Every key and channel that CallCluster has in Redis.

A room's names carry the tag ``{p<n>}`` of one of 64 fixed partitions, so that its scripts touch one slot
of a Redis Cluster. They name the room by a hash of its id: ids may mean something to people, and key names
show up in slow logs and dumps.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

PREFIX = "sig:"
PARTITIONS = 64
WANTED = "sfu:wanted"
"""Channel on which signaling pods name rooms that want any SFU; see :func:`wanted`."""
_NAME = re.compile(r"[a-z2-7]{26}")


@dataclass(frozen=True, slots=True)
class RoomKeys:
    """Names of one room."""

    name: str
    """Opaque, the same on every pod."""
    meta: str
    """Hash: epoch, offset, lock."""
    events: str
    """Stream of the durable lane."""
    members: str
    """Hash: sid to roster line."""
    owners: str
    """Hash: sid to the claim of the socket that speaks for it."""
    people: str
    """Hash: sid to hashed user, connection and token ids."""
    leases: str
    """Sorted set: sid to the time (Redis clock, ms) at which it counts as gone."""
    bans: str
    """Hash: hashed user or token id to the time (ms) until which it is refused."""
    channel: str
    """Pub/sub channel that pushes the durable lane."""
    seat: str
    """String: the claim of the SFU that serves the room, for as long as its lease runs."""

    @property
    def keys(self) -> tuple[str, ...]:
        """What every script of a room takes, in this order; those of the seat take ``seat`` after it."""
        return (
            self.meta,
            self.events,
            self.members,
            self.owners,
            self.people,
            self.leases,
            self.bans,
            self.channel,
        )


def room(room_id: str) -> RoomKeys:
    """The names of a room."""
    digest = hashlib.sha256(b"callcluster room\0" + room_id.encode()).digest()
    return named(base64.b32encode(digest)[:26].decode().lower())


def named(name: str) -> RoomKeys:
    """The names of the room that is known by its opaque name alone.

    Raises:
        ValueError: no room has such a name.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError("a room's opaque name is 26 characters of a-z and 2-7")
    partition = binascii.crc_hqx(name.encode(), 0) % PARTITIONS
    base = f"{PREFIX}{{p{partition}}}:{name}:"
    return RoomKeys(
        name,
        base + "meta",
        base + "ev",
        base + "m",
        base + "own",
        base + "who",
        base + "lease",
        base + "ban",
        base + "ch",
        base + "seat",
    )


def wanted(own: str = "") -> str:
    """Channel on which signaling pods name rooms that want an SFU.

    Args:
        own: of a room that has an SFU of its own the name that both know it by; nobody else hears its call.
    """
    return f"{WANTED}:{own}" if own else WANTED


def session(sid: str) -> str:
    """Hash of what another pod needs to take up a session."""
    return f"{PREFIX}s:{sid}"


def pod(pod_id: str) -> str:
    """A pod's heartbeat; its absence while the pod runs tells that Redis lost its data."""
    return f"{PREFIX}pod:{pod_id}"


def pod_channel(pod_id: str) -> str:
    """Channel of the ephemeral lane to the sockets of one pod."""
    return f"{PREFIX}pod:{pod_id}:in"
