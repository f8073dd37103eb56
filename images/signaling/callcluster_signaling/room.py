"""One pod's copy of a room: puts entries in order, keeps the roster, and says who gets what.

Sans-I/O: lines go in, deliveries and evictions come out.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple, get_args

import msgspec
from callcluster_common.bus import Entry, Head, RoomState, split_line
from callcluster_common.messages.server import (
    AnswerRelay,
    Event,
    IceRelay,
    LeftReason,
    MsgRelay,
    OfferRelay,
    RestartRelay,
)
from callcluster_common.messages.types import Member, Snapshot, TrackKind
from callcluster_common.redis_keys import RoomKeys

DurableFrame = Event | OfferRelay | AnswerRelay | IceRelay | RestartRelay | MsgRelay

_frame = msgspec.json.Decoder(DurableFrame)
_member = msgspec.json.Decoder(Member)

SFU_FROM = 3
"""Members from which on a room wants an SFU: two do well without."""
MAX_HELD = 256
"""Ephemeral frames kept for members that are about to be seated."""
MAX_EARLY = 4_096
"""Lines kept while one before them is missing; beyond that the history is the better source."""


class Deliver(NamedTuple):
    """Send ``frame`` to the local sockets of ``sids``."""

    sids: list[str]
    frame: bytes


class Want(NamedTuple):
    """From now on the room wants an SFU."""


class Evict(NamedTuple):
    """A local member is out of the room."""

    sid: str
    reason: LeftReason | Literal["replaced"]
    """``replaced``: its session goes on, on another pod."""


Outcome = Deliver | Evict | Want


def numbered(off: int, frame: bytes) -> bytes:
    """A client's frame with its offset."""
    return b'{"off":%d,%b' % (off, frame[1:])


def concerns(head: Head, frame: DurableFrame, sid: str) -> bool:
    """Whether a member gets this entry: nobody hears itself, or what was meant for another."""
    return head.to == sid if head.to else _subject(head, frame) != sid


def _subject(head: Head, frame: DurableFrame) -> str | None:
    """The one member that an entry for the whole room is not for, if there is one."""
    if not isinstance(frame, Event):
        return head.sender
    return None if frame.d.kind == "blocked" else frame.d.sid


def roster(state: RoomState) -> list[Member]:
    """The members of a state; lines that no honest pod writes are left out."""
    members = []
    for _, line, claim, blocked in state.occupants:
        try:
            member = _member.decode(line)
        except (msgspec.MsgspecError, RecursionError):
            continue
        member.reconnecting = not claim
        member.blocked = _kinds(blocked.split())
        members.append(member)
    return members


def _kinds(names: Collection[str]) -> list[TrackKind]:
    return [kind for kind in get_args(TrackKind) if kind in names]


class Room:
    """A room as this pod knows it."""

    def __init__(self, keys: RoomKeys, room_id: str, opaque: str) -> None:
        self.keys = keys
        self.id = room_id
        self.opaque = opaque
        """Its name in logs and reports."""
        self.epoch = ""
        self.off = 0
        self.locked = False
        self.sfu = ""
        """Claim of the SFU that serves the room."""
        self.members: dict[str, Member] = {}
        self.claims: dict[str, str] = {}
        """Which socket speaks for a member, and on which pod; absent while it is reconnecting."""
        self.positions: dict[str, int] = {}
        """Local members, and the offset from which on they get entries."""
        self.told = 0
        """Highest offset that the bus is known to have."""
        self.lost_epoch = False
        """An entry of another epoch came: the room was rebuilt elsewhere."""
        self.kicked: set[str] = set()
        """Who was removed by a moderator, as far as this copy has seen."""
        self.refused = 0
        """Lines that no honest pod sends."""
        self._given: dict[str, list[str]] = {}
        self._early: dict[int, tuple[str, bytes]] = {}
        self._arrivals = 0
        self._meanwhile: list[Entry] = []
        self._held: list[tuple[str, bytes, str | None]] = []
        self._bereft = False
        self._trusted: dict[bytes, tuple[Head, DurableFrame]] = {}

    @property
    def gap(self) -> bool:
        """Whether entries wait for one that has not come."""
        return bool(self._early)

    @property
    def loaded(self) -> bool:
        """Whether a state was taken over; until then lines only wait."""
        return bool(self.epoch)

    @property
    def wants_sfu(self) -> bool:
        """Whether no SFU serves a room that is large enough for one, or had one before.

        Members that are reconnecting count.
        """
        return not self.sfu and len(self.members) >= (2 if self._bereft else SFU_FROM)

    def load(self, state: RoomState) -> list[Outcome]:
        """Take over a state: for a new copy, or after a loss; return what waiting lines add to it."""
        # Data was lost: the SFU that served the room takes its seat anew, before any other is called.
        patient = bool(self.sfu) and state.epoch != self.epoch
        wanted = self.wants_sfu
        self.epoch, self.off, self.locked = state.epoch, state.off, state.locked
        self.lost_epoch = False
        self._trusted.clear()
        self.members.clear()
        for member in roster(state):
            self.members[member.sid] = member
        self.claims = {occupant.sid: occupant.claim for occupant in state.occupants if occupant.claim}
        self._serve(state.seat)
        self._early = {
            off: (epoch, line)
            for off, (epoch, line) in self._early.items()
            if off > self.off and epoch == self.epoch
        }
        outcomes: list[Outcome] = [Want()] if self.wants_sfu and not (wanted or patient) else []
        self._follow(outcomes)
        return outcomes

    def snapshot(self) -> Snapshot:
        """The roster for a client."""
        return Snapshot(list(self.members.values()), self.locked, self.sfu)

    def await_arrival(self) -> None:
        """Someone is about to be seated: remember what is applied until :meth:`seat`, :meth:`give_up`."""
        self._arrivals += 1

    def give_up(self) -> None:
        """That member does not come."""
        self._arrivals -= 1
        if not self._arrivals:
            self._meanwhile.clear()
            self._held.clear()

    def seat(self, sid: str, state: RoomState) -> list[bytes]:
        """From now on ``sid`` gets what comes after ``state``; return what has come already."""
        if not self.loaded:
            self.load(state)
        self.positions[sid] = state.off
        meanwhile = [entry for entry in self._meanwhile if entry.off > state.off]
        held = [
            frame
            for recipient, frame, sfu in self._held
            if recipient == sid and sfu in (None, self.sfu, state.seat)
        ]
        self._held = [kept for kept in self._held if kept[0] != sid]
        self.give_up()
        return replay(meanwhile, sid) + held

    def accepts(self, sid: str, frame: bytes, sfu: str | None) -> bool:
        """Whether a local member may have a frame of the ephemeral lane now.

        What is for a member that is about to be seated is kept until then. ``sfu`` is the claim of the
        SFU that sends it, ``None`` for what another member sends.
        """
        if sid in self.positions:
            return sfu is None or sfu == self.sfu
        if self._arrivals and len(self._held) < MAX_HELD:
            self._held.append((sid, frame, sfu))
        return False

    def trust(self, line: bytes, head: Head, frame: DurableFrame) -> None:
        """This pod publishes the line itself: it need not be read and checked when it comes back."""
        self._trusted[line] = head, frame

    def distrust(self, line: bytes, uid: str) -> None:
        """That entry will not come."""
        self._trusted.pop(line, None)
        self._given.pop(uid, None)

    def give_early(self, line: bytes) -> list[Outcome]:
        """Deliver an entry of this pod, which has no offset yet, to those who are here."""
        try:
            head, raw = split_line(line)
            frame = _frame.decode(raw)
        except (ValueError, msgspec.MsgspecError, RecursionError):
            return []
        sids = [sid for sid in self.positions if concerns(head, frame, sid)]
        self._given[head.uid] = sids
        return [Deliver(sids, raw)] if sids else []

    def given_to_all(self, uid: str, to: str) -> bool:
        """Whether everybody whom an entry is for got it early."""
        given = self._given.get(uid, [])
        return to in given if to else len(given) >= len(self.members) - 1

    def receive(self, epoch: str, off: int, line: bytes) -> list[Outcome]:
        """A pushed line: act on it and on those that it was missing for."""
        if epoch != self.epoch and self.loaded:
            self.lost_epoch = True
            return []
        if off <= self.off:
            return []
        if off != self.off + 1 or not self.loaded:
            if off <= self.off + MAX_EARLY or not self.loaded:
                if len(self._early) < MAX_EARLY:
                    self._early[off] = (epoch, line)
                self.told = max(self.told, off)
            else:
                # Far ahead: ask the history, and do not take this line's word for where it ends.
                self.told = max(self.told, self.off + 1)
            return []
        outcomes: list[Outcome] = []
        self._apply(off, line, outcomes)
        if self._early:
            self._follow(outcomes)
        return outcomes

    def _follow(self, outcomes: list[Outcome]) -> None:
        while (following := self._early.pop(self.off + 1, None)) is not None:
            self._apply(self.off + 1, following[1], outcomes)

    def catch_up(self, entries: list[Entry]) -> list[Outcome]:
        """Lines of the history, in order."""
        outcomes: list[Outcome] = []
        for entry in entries:
            outcomes += self.receive(self.epoch, entry.off, entry.line)
        return outcomes

    def _apply(self, off: int, line: bytes, outcomes: list[Outcome]) -> None:
        self.off = off
        if self._arrivals:
            self._meanwhile.append(Entry(off, line))
        try:
            known = self._trusted.pop(line, None)
            if known is not None:
                head, frame = known
                raw = line[line.index(b"\n") + 1 :]
            else:
                head, raw = split_line(line)
                frame = _frame.decode(raw)
        except (ValueError, msgspec.MsgspecError, RecursionError):
            self.refused += 1
            return
        evicted: list[Outcome] = []
        if isinstance(frame, Event):
            wanted = self.wants_sfu
            evicted = self._happened(head, frame)
            if self.wants_sfu and not wanted:
                evicted.append(Want())
        positions = self.positions
        if head.to:
            sids = [head.to] if positions.get(head.to, off) < off else []
        else:
            subject = _subject(head, frame)
            sids = [sid for sid, position in positions.items() if position < off and sid != subject]
        if self._given and (given := self._given.pop(head.uid, None)) is not None:
            sids = [sid for sid in sids if sid not in given]
        if sids:
            outcomes.append(Deliver(sids, numbered(off, raw)))
        outcomes += evicted

    def _happened(self, head: Head, event: Event) -> list[Outcome]:
        """Keep the roster; return local members that are out by this."""
        d = event.d
        if d.kind == "locked":
            self.locked = bool(d.locked)
        elif d.kind == "sfu":
            self._serve(d.sfu or "")
        elif d.kind == "ended":
            self.members.clear()
            self.claims.clear()
            self._bereft = False
            return [Evict(sid, "ended") for sid in self.positions]
        elif d.kind == "joined" and d.member is not None:
            self.members[d.member.sid] = d.member
            self.claims[d.member.sid] = head.uid
        elif d.kind == "left" and d.sid is not None:
            self.members.pop(d.sid, None)
            self.claims.pop(d.sid, None)
            self._bereft = self._bereft and len(self.members) > 1
            if d.reason == "kicked":
                self.kicked.add(d.sid)
            if d.sid in self.positions:
                return [Evict(d.sid, d.reason or "left")]
        elif d.sid is not None and (member := self.members.get(d.sid)) is not None:
            if d.kind == "updated" and d.state is not None:
                member.state = d.state
            elif d.kind == "renewed" and d.bundle is not None:
                member.bundle = d.bundle
            elif d.kind == "blocked":
                others = [kind for kind in member.blocked if kind != d.media]
                member.blocked = _kinds([*others, str(d.media)] if d.blocked else others)
            elif d.kind == "reconnecting":
                member.reconnecting = True
                self.claims.pop(d.sid, None)
            elif d.kind == "resumed":
                member.reconnecting = False
                self.claims[d.sid] = head.uid
        return []

    def _serve(self, sfu: str) -> None:
        """The SFU with the claim ``sfu`` serves the room, or none does."""
        self._bereft = not sfu and len(self.members) > 1 and (self._bereft or bool(self.sfu))
        self.sfu = sfu


def replay(entries: list[Entry], sid: str) -> list[bytes]:
    """The frames among ``entries`` that a returning member missed."""
    frames = []
    for entry in entries:
        try:
            head, raw = split_line(entry.line)
            frame = _frame.decode(raw)
        except (ValueError, msgspec.MsgspecError, RecursionError):
            continue
        if concerns(head, frame, sid):
            frames.append(numbered(entry.off, raw))
    return frames
