"""Every key and channel that CallCluster has in Redis.

A room's names carry the tag ``{p<n>}`` of one of 64 fixed partitions, so that its scripts touch one slot
of a Redis Cluster. They name the room by a hash of its id: ids may mean something to people, and key names
show up in slow logs and dumps.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

PREFIX = "sig:"
PARTITIONS = 64


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

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in the order in which scripts take them."""
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
    partition = binascii.crc_hqx(room_id.encode(), 0) % PARTITIONS
    digest = hashlib.sha256(b"callcluster room\0" + room_id.encode()).digest()
    name = base64.b32encode(digest)[:26].decode().lower()
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
    )


def session(sid: str) -> str:
    """Hash of what another pod needs to take up a session."""
    return f"{PREFIX}s:{sid}"


def pod(pod_id: str) -> str:
    """A pod's heartbeat; its absence while the pod runs tells that Redis lost its data."""
    return f"{PREFIX}pod:{pod_id}"


def pod_channel(pod_id: str) -> str:
    """Channel of the ephemeral lane to the sockets of one pod."""
    return f"{PREFIX}pod:{pod_id}:in"
