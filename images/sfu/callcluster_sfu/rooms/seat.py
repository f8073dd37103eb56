"""One room that this SFU serves. Sans-I/O: entries, offers, news in; commands and words to members out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from callcluster_common.bus import Entry, RoomState
from callcluster_common.messages.types import TrackKind
from callcluster_common.rates import Bucket, Rate

from callcluster_sfu.negotiation import Command, RemovePeer
from callcluster_sfu.room import (
    Announced,
    Answered,
    Declined,
    Do,
    Ended,
    Postponed,
    Reconnect,
    Room,
    Wish,
)
from callcluster_sfu.room import Effect as RoomEffect
from callcluster_sfu.rooms.roster import Blocked, Came, Change, Roster
from callcluster_sfu.rooms.says import Answer, Refusal, Tracks
from callcluster_sfu.sdp.values import IceCredentials

Effect = Command | Answer | Refusal

KINDS: tuple[TrackKind, ...] = get_args(TrackKind)
FULL = "this SFU is full"

CHANGES = Rate(2, 12)
"""Offers that begin or end tracks which one member may make; those above it are answered later."""
REMINDERS = frozenset({1, 2, 4, 8})
"""Calls of :meth:`Seat.remind` at which a member that has not offered yet is told of its route again."""


@dataclass(frozen=True, slots=True)
class Offered:
    """An offer as a member sent it."""

    sid: str
    route: str
    seq: int
    sdp: str
    wants: Mapping[str, str]


@dataclass(slots=True)
class _Route:
    """One member's way to one transport, which may not be there yet."""

    name: str
    seq: int = -1
    """Of the latest offer."""
    reply: Answer | Refusal | None = None
    """To that offer, for when it is repeated."""
    connected: bool = False
    """Whether the plane knows the transport."""
    reminded: int = 0
    """How often it was looked whether there is an offer."""
    late: Offered | None = None
    """An offer above the member's rate."""


class Seat:
    """The seat in one room: its members, their transports, and what each still has to be told.

    Args:
        claim: of the seat; the names of routes begin with it.
        room: an empty one.
        fresh: makes unguessable ICE credentials.
        session: makes the random session id of a member's answers.
        may_connect: whether there is space for one more transport.
        now: the time in seconds; it never goes back.
    """

    def __init__(
        self,
        claim: str,
        room: Room,
        *,
        fresh: Callable[[], IceCredentials],
        session: Callable[[], int],
        may_connect: Callable[[], bool],
        now: Callable[[], float],
    ) -> None:
        self.claim = claim
        self.roster = Roster()
        self._room = room
        self._fresh = fresh
        self._session = session
        self._may_connect = may_connect
        self._now = now
        self._routes: dict[str, _Route] = {}
        self._routes_named = 0
        self._revision = 0
        self._changes: dict[str, Bucket] = {}
        """By member: what it may still begin and end."""
        self._due: dict[str, bool] = {}
        """Who is to be told of the tracks, in order; true where it has to learn of its route."""

    @property
    def connected(self) -> int:
        """How many members have a transport."""
        return sum(route.connected for route in self._routes.values())

    @property
    def published(self) -> int:
        """How many tracks there are."""
        return len(self._room.tracks)

    # The ledger

    def load(self, state: RoomState) -> list[Effect]:
        """Take over a state of the room."""
        return self._changed(self.roster.load(state))

    def receive(self, epoch: str, off: int, line: bytes) -> list[Effect]:
        """A pushed entry."""
        return self._changed(self.roster.receive(epoch, off, line))

    def catch_up(self, entries: Iterable[Entry]) -> list[Effect]:
        """Entries of the history."""
        return self._changed(self.roster.catch_up(entries))

    def _changed(self, changes: list[Change]) -> list[Effect]:
        effects: list[Effect] = []
        for change in changes:
            if isinstance(change, Came):
                self._come(change.sid)
            elif isinstance(change, Blocked):
                effects += self._block(change.sid)
            else:
                for table in (self._routes, self._due, self._changes):
                    table.pop(change.sid, None)
                effects += self._translated(self._room.dismiss(change.sid))
        came = {change.sid for change in changes if isinstance(change, Came)}
        for sid in [sid for sid in self.roster.claims if sid not in self._routes]:
            self._come(sid)  # a place in a full room may be free now
            if sid not in self._routes and sid in came:
                effects.append(Refusal(sid, f"{self.claim}-0", 0, FULL))
        return effects

    def _come(self, sid: str) -> None:
        # What the room announces to a newcomer is part of what it is told anyway.
        self._room.admit(sid, self._session())
        if sid in self._room.members:
            if sid not in self._routes:
                self._routes[sid] = self._new_route()
                self._changes.setdefault(sid, Bucket(CHANGES, self._now()))
                self._block(sid)  # it has nothing yet that could be forwarded
            self._due[sid] = True

    def _block(self, sid: str) -> list[Effect]:
        blocked = self.roster.blocked.get(sid, frozenset())
        return [
            effect
            for kind in KINDS
            for effect in self._translated(self._room.mute(sid, kind, muted=kind in blocked))
        ]

    def _new_route(self) -> _Route:
        self._routes_named += 1
        return _Route(f"{self.claim}-{self._routes_named}")

    # Members

    def speaks_for(self, claim: str, sid: str) -> bool:
        """Whether ``claim`` is the socket of the member ``sid``, as far as the ledger was followed."""
        return bool(claim) and self.roster.claims.get(sid) == claim

    def offered(self, offer: Offered) -> list[Effect]:
        """Answer a member's offer. A repeated one gets the answer that it got; an older one gets none."""
        route = self._routes.get(offer.sid)
        if route is None:
            # It is a member, for the caller has asked `speaks_for`; the room had no place for it.
            return [Refusal(offer.sid, offer.route, offer.seq, FULL)]
        if offer.route != route.name:
            self._due[offer.sid] = True
            return []
        if offer.seq <= route.seq:
            return [route.reply] if offer.seq == route.seq and route.reply is not None else []
        if route.late is not None and offer.seq < route.late.seq:
            return []
        if not route.connected and not self._may_connect():
            return [Refusal(offer.sid, route.name, offer.seq, FULL)]
        return self._negotiate(offer, route)

    def answer_late(self) -> list[Effect]:
        """Answer offers that came too soon after others; to be called every second."""
        late = [(route.late, route) for route in self._routes.values() if route.late is not None]
        return [effect for offer, route in late for effect in self._negotiate(offer, route)]

    def _negotiate(self, offer: Offered, route: _Route) -> list[Effect]:
        changes, before = self._changes[offer.sid], (route.seq, route.reply)
        route.seq, route.reply, route.late = offer.seq, None, None
        effects = self._room.offered(
            offer.sid,
            offer.sdp,
            offer.wants,
            self._fresh(),
            may_change=lambda: not changes.take(self._now()),
        )
        if effects == [Postponed(offer.sid)]:
            (route.seq, route.reply), route.late = before, offer
            return []
        return self._translated(effects)

    def wished(self, sid: str, wishes: Mapping[str, Wish]) -> list[Effect]:
        """Note how a member wants tracks."""
        return self._translated(self._room.wish(sid, wishes))

    # The plane

    def live(self, track: int, encoding: int) -> list[Effect]:
        """The first packet of a track's encoding came."""
        return self._translated(self._room.live(track, encoding))

    def disconnected(self, peer: int) -> list[Effect]:
        """The plane has forgotten a transport: its member gets another route."""
        return self._translated(self._room.disconnected(peer))

    def reset(self, peer: int) -> list[Effect]:
        """The plane refused what a transport needs: begin it anew."""
        return [RemovePeer(peer), *self.disconnected(peer)]

    def begin_anew(self, sid: str) -> list[Effect]:
        """End all that a member has, whatever state it is in, and give it another route."""
        effects = self._translated(self._room.dismiss(sid))
        self._routes.pop(sid, None)
        if sid in self.roster.claims:
            self._come(sid)
        return effects

    # What is to be told

    def repeat(self) -> None:
        """Tell everybody again: what was told may be lost."""
        for sid in self._routes:
            self._due.setdefault(sid, False)

    def remind(self) -> None:
        """Tell members again that have not offered yet; to be called every second."""
        for sid, route in self._routes.items():
            if route.seq < 0:
                route.reminded += 1
                if route.reminded in REMINDERS:
                    self._due[sid] = True

    @property
    def has_news(self) -> bool:
        """Whether members are to be told who know their route already."""
        return not all(self._due.values())

    def due(self, *, news: bool = True) -> list[Tracks]:
        """What members are to be told of the tracks by now, each at most once.

        Without ``news`` only those are told who have to learn of their route; the others stay due.
        """
        told = [sid for sid, hurried in self._due.items() if news or hurried]
        for sid in told:
            del self._due[sid]
        tracks = self._room.tracks
        return [
            Tracks(
                sid,
                self._routes[sid].name,
                self._revision,
                tuple(track for track in tracks if track.member != sid),
            )
            for sid in told
        ]

    def close(self) -> list[Effect]:
        """End everything."""
        effects: list[Effect] = []
        for sid in self._room.members:
            effects += self._translated(self._room.dismiss(sid))
        for table in (self._routes, self._due, self._changes):
            table.clear()
        return effects

    def _translated(self, effects: list[RoomEffect]) -> list[Effect]:
        translated: list[Effect] = []
        for effect in effects:
            match effect:
                case Do(command):
                    translated.append(command)
                case Answered(to, sdp, published, unserved):
                    route = self._routes[to]
                    # The first answer is what opens a transport (AddPeer stands before it).
                    route.connected = True
                    route.reply = Answer(to, route.name, route.seq, sdp, published, unserved)
                    translated.append(route.reply)
                case Declined(to, reason):
                    route = self._routes[to]
                    route.reply = Refusal(to, route.name, route.seq, reason)
                    translated.append(route.reply)
                case Announced(to) | Ended(to):
                    self._revision += 1
                    for sid in to:
                        self._due.setdefault(sid, False)
                case Reconnect(to):
                    self._routes[to] = self._new_route()
                    self._due[to] = True
        return translated
