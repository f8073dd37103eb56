"""Who is in a room, and whose word counts: follows the room's ledger. Sans-I/O: entries in, changes out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from callcluster_common.bus import Entry, RoomState, split_line
from callcluster_common.messages.server import Event

MAX_EARLY = 4_096
"""Entries kept while one before them is missing; beyond that the history is the better source."""


class Came(NamedTuple):
    """A member is in, or has a new socket: what it was told before may not have reached it."""

    sid: str


class Gone(NamedTuple):
    """A member is out: it left, was removed, expired, or the call was ended."""

    sid: str


class Blocked(NamedTuple):
    """What a moderator has blocked of a member has changed."""

    sid: str


Change = Came | Gone | Blocked


class _Tagged(msgspec.Struct):
    t: str


_tagged = msgspec.json.Decoder(_Tagged)
_event = msgspec.json.Decoder(Event)


class Roster:
    """The members of one room, as far as its ledger was followed."""

    def __init__(self) -> None:
        self.epoch = ""
        """Empty until a state was loaded; entries only wait until then."""
        self.off = 0
        self.claims: dict[str, str] = {}
        """By sid: the claim of the member's socket, empty while it has none."""
        self.blocked: dict[str, frozenset[str]] = {}
        """By sid: the kinds of media of which nobody gets anything."""
        self.lost = False
        """Entries of another epoch come: only a state helps."""
        self._early: dict[int, tuple[str, bytes]] = {}

    @property
    def behind(self) -> bool:
        """Whether something is known to be missing."""
        return self.lost or bool(self._early)

    def load(self, state: RoomState) -> list[Change]:
        """Take over a state that no sequence of entries leads to."""
        before, blocked = self.claims, self.blocked
        self.epoch, self.off, self.lost = state.epoch, state.off, False
        self.claims = {occupant.sid: occupant.claim for occupant in state.occupants}
        self.blocked = {
            occupant.sid: frozenset(occupant.blocked.split())
            for occupant in state.occupants
            if occupant.blocked
        }
        changes: list[Change] = [Gone(sid) for sid in before if sid not in self.claims]
        changes += [Came(sid) for sid, claim in self.claims.items() if before.get(sid) != claim]
        changes += [Blocked(sid) for sid in self.claims if self.blocked.get(sid) != blocked.get(sid)]
        self._early = {
            off: (epoch, line)
            for off, (epoch, line) in self._early.items()
            if epoch == self.epoch and off > self.off
        }
        self._follow(changes)
        return changes

    def receive(self, epoch: str, off: int, line: bytes) -> list[Change]:
        """A pushed entry: it may repeat, skip or come early."""
        if self.epoch and epoch != self.epoch:
            self.lost = True
            return []
        if off <= self.off:
            return []
        if not self.epoch or off != self.off + 1:
            if len(self._early) < MAX_EARLY:
                self._early[off] = (epoch, line)
            return []
        changes: list[Change] = []
        self._apply(off, line, changes)
        self._follow(changes)
        return changes

    def catch_up(self, entries: Iterable[Entry]) -> list[Change]:
        """Entries of the history of this epoch, in order."""
        self.lost = False
        return [change for entry in entries for change in self.receive(self.epoch, entry.off, entry.line)]

    def _follow(self, changes: list[Change]) -> None:
        while (following := self._early.pop(self.off + 1, None)) is not None:
            self._apply(self.off + 1, following[1], changes)

    def _apply(self, off: int, line: bytes, changes: list[Change]) -> None:
        self.off = off
        try:
            head, frame = split_line(line)
            if _tagged.decode(frame).t != Event.__struct_config__.tag:
                return  # members among themselves
            d = _event.decode(frame).d
        except (ValueError, RecursionError):
            return  # no honest pod writes this
        match d.kind:
            case "joined" if d.member is not None:
                self._has_socket(d.member.sid, head.uid, changes)
            case "resumed" if d.sid in self.claims:
                self._has_socket(d.sid, head.uid, changes)
            case "reconnecting" if d.sid in self.claims:
                self.claims[d.sid] = ""
            case "blocked" if d.sid in self.claims and d.media is not None:
                others = self.blocked.get(d.sid, frozenset()) - {d.media}
                self.blocked[d.sid] = others | {d.media} if d.blocked else others
                changes.append(Blocked(d.sid))
            case "left" if d.sid in self.claims:
                del self.claims[d.sid]
                self.blocked.pop(d.sid, None)
                changes.append(Gone(d.sid))
            case "ended":
                changes += [Gone(sid) for sid in self.claims]
                self.claims.clear()
                self.blocked.clear()
            case _:
                pass

    def _has_socket(self, sid: str, claim: str, changes: list[Change]) -> None:
        self.claims[sid] = claim
        changes.append(Came(sid))
