"""The keys of several members, and a room between them without a network."""

from __future__ import annotations

from typing import TypeVar

from callcluster_common.messages.client import BundleRefresh, Frame, KeyAck, KeyRequest, KeySend
from callcluster_common.messages.server import LeftReason
from callcluster_common.messages.types import Member
from callcluster_probe.e2ee.bundle import Identity
from callcluster_probe.e2ee.keys import CallKeys
from callcluster_probe.e2ee.room_secret import RoomSecret
from callcluster_probe.e2ee.sframe import decode_header, split_key_id

Sent = TypeVar("Sent", BundleRefresh, KeyAck, KeyRequest, KeySend)

EPOCH = 1_800_000_000.0
SECRET = RoomSecret("team", bytes(32))


class Room:
    """Carries frames between members; ``lost`` has the sids to which no envelope comes through."""

    def __init__(self) -> None:
        self.keys: dict[str, CallKeys] = {}
        self.members: dict[str, Member] = {}
        self.lost: set[str] = set()
        self.takes_bundles = True
        self.seen: list[tuple[str, Frame]] = []

    def join(self, sid: str, now: float = 0.0, secret: RoomSecret = SECRET) -> CallKeys:
        keys = CallKeys(Identity(), "team", sid, secret, EPOCH)
        keys.enter(self.members.values(), now)
        member = Member(sid, keys.bundle(now))
        for other in self.keys.values():
            other.joined(member, now)
        self.keys[sid], self.members[sid] = keys, member
        self.carry(now)
        return keys

    def leave(self, sid: str, now: float, reason: LeftReason = "left") -> None:
        del self.keys[sid], self.members[sid]
        for other in self.keys.values():
            other.left(sid, reason, now)
        self.carry(now)

    def tick(self, now: float) -> None:
        for keys in self.keys.values():
            keys.tick(now)
        self.carry(now)

    def carry(self, now: float) -> None:
        while frames := [(sid, f) for sid, keys in self.keys.items() for f in keys.drain()]:
            for sid, frame in frames:
                self.seen.append((sid, frame))
                self._carry(sid, frame, now)

    def _carry(self, sid: str, frame: Frame, now: float) -> None:
        if isinstance(frame, KeySend):
            for entry in frame.d.entries:
                if entry.to in self.keys and entry.to not in self.lost:
                    self.keys[entry.to].deliver(sid, entry.body, now)
        elif isinstance(frame, BundleRefresh):
            if self.takes_bundles:
                self.keys[sid].bundle_taken(now)
                self.members[sid] = Member(sid, frame.d.bundle)
                for other in self.keys.values():
                    other.renewed(sid, frame.d.bundle, now)
        elif isinstance(frame, KeyAck):
            self.keys[frame.to.sid].acked(sid, frame.d.kid)
        elif isinstance(frame, KeyRequest):
            self.keys[frame.to.sid].requested(sid, now)

    def sent(self, kind: type[Sent]) -> list[Sent]:
        return [frame for _, frame in self.seen if isinstance(frame, kind)]


def generation_and_step(keys: CallKeys) -> tuple[int, int]:
    """Of the key that ``keys`` seals with now."""
    sealed = keys.seal("mic", b"x")
    assert sealed is not None
    kid, _, _ = decode_header(sealed)
    return split_key_id(kid)
