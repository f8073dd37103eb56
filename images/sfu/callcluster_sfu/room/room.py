"""The state of one call, and how it changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from callcluster_sfu.negotiation import (
    AddLeg,
    AddTrack,
    AimLeg,
    Forward,
    Negotiated,
    Numbers,
    Outcome,
    Policy,
    RemoveLeg,
    RemovePeer,
    RemoveTrack,
    negotiate,
)
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
from callcluster_sfu.sdp import SdpError, parse, serialize
from callcluster_sfu.sdp.values import Description, IceCredentials


@dataclass(frozen=True, slots=True)
class Wish:
    """How a member wants one track."""

    highest: int | None = None
    """The place of the best encoding that is of use, 0 being the lowest quality; None for the very best."""
    paused: bool = False


_NO_WISH = Wish()
_Aim = tuple[int, int] | None
"""The best encoding that is of use, and its priority; None is a pause."""
_TOP_PRIORITY = 255


@dataclass(slots=True)
class _Member:
    name: str
    stream: str
    negotiated: Negotiated
    wishes: dict[int, Wish] = field(default_factory=dict)
    """By track; only of tracks that are alive."""
    muted: set[str] = field(default_factory=set)
    """Kinds of media of which nobody gets anything of this member's."""


@dataclass(frozen=True, slots=True)
class _Track:
    owner: str
    mid: str
    forward: Forward
    live: frozenset[int] = frozenset({0})
    """Places of encodings that were seen; the lowest is counted among them from the start."""


class Room:
    """One call. Every method returns what is to be done, in order, and has then already counted it as done.

    Members are those whom signaling vouches for: the caller admits nobody else, and dismisses who leaves,
    is kicked or expires.
    """

    def __init__(self, policy: Policy, numbers: Numbers, limits: RoomLimits | None = None) -> None:
        self._policy = policy
        self._numbers = numbers
        self._limits = limits or RoomLimits()
        self._members: dict[str, _Member] = {}
        self._tracks: dict[int, _Track] = {}
        self._named: dict[str, int] = {}
        self._streams_named = 0
        self._tracks_named = 0

    @property
    def members(self) -> tuple[str, ...]:
        """Who is in, in the order of coming."""
        return tuple(self._members)

    @property
    def tracks(self) -> tuple[TrackOf, ...]:
        """What is published."""
        return tuple(self._public(track) for track in self._tracks.values())

    def admit(self, name: str, session: int) -> list[Effect]:
        """Lets a member in; nothing happens for one who is in. ``session``: a random id for its answers."""
        if name in self._members:
            return []
        if len(self._members) >= self._limits.members:
            return [Declined(name, "the room is full")]
        self._streams_named += 1
        self._members[name] = _Member(
            name, f"m{self._streams_named}", Negotiated(self._numbers.peer(), session)
        )
        return [Announced((name,), self.tracks)] if self._tracks else []

    def dismiss(self, name: str) -> list[Effect]:
        """Ends all that a member sends and receives; nothing happens for one who is not in."""
        member = self._members.pop(name, None)
        if member is None:
            return []
        own = [track.track for track in member.negotiated.published]
        effects: list[Effect] = [Do(RemoveLeg(leg.leg)) for leg in member.negotiated.legs]
        effects += self._end(own)
        effects += [Do(RemoveTrack(track)) for track in own]
        if member.negotiated.local_ice is not None:
            effects.append(Do(RemovePeer(member.negotiated.peer)))
        return effects

    def offered(
        self,
        name: str,
        sdp: str,
        wants: Mapping[str, str],
        fresh: IceCredentials,
        may_change: Callable[[], bool] = lambda: True,
    ) -> list[Effect]:
        """Answers a member's offer.

        Args:
            name: of the member.
            sdp: its offer.
            wants: names of tracks by the mid of the section that shall carry each. A track that is gone, or
                never was in this room, or is the member's own, leaves its section inactive.
            fresh: unguessable credentials, used if the connection is new or restarts its ICE.
            may_change: asked where the offer begins or ends tracks, of which all others have to be told.
        """
        member = self._members.get(name)
        if member is None:
            return [Declined(name, "not in this room")]
        try:
            outcome = self._negotiate(member, parse(sdp), wants, fresh)
        except SdpError as error:
            return [Declined(name, str(error))]
        ended = [command.track for command in outcome.commands if isinstance(command, RemoveTrack)]
        begun = [command for command in outcome.commands if isinstance(command, AddTrack)]
        if (ended or begun) and not may_change():
            return [Postponed(name)]
        member.negotiated = outcome.state
        effects = self._end(ended)
        effects += [Do(command) for command in outcome.commands]
        paused = {command.leg: None for command in outcome.commands if isinstance(command, AddLeg)}
        effects += _differences(paused, self._aims([member]))
        announcement = tuple(self._begin(member, track) for track in begun)
        published = {track.mid: self._tracks[track.track].forward.name for track in outcome.state.published}
        effects.append(Answered(name, serialize(outcome.answer), published, outcome.unserved))
        if announcement and (others := self._all_but(name)):
            effects.append(Announced(others, announcement))
        return effects

    def wish(self, name: str, wishes: Mapping[str, Wish]) -> list[Effect]:
        """Notes how a member wants the tracks it names; it holds until said otherwise, or to their end."""
        member = self._members.get(name)
        if member is None:
            return []
        before = self._aims([member])
        for track, wish in wishes.items():
            if track in self._named:
                member.wishes[self._named[track]] = wish
        return _differences(before, self._aims([member]))

    def mute(self, name: str, kind: str, *, muted: bool) -> list[Effect]:
        """Stops forwarding, or forwards again, a member's media of one kind.

        It holds for tracks to come as well, so that publishing anew is no way round it; it ends with the
        membership.
        """
        member = self._members.get(name)
        if member is None or (kind in member.muted) is muted:
            return []
        before = self._aims(self._members.values())
        (member.muted.add if muted else member.muted.discard)(kind)
        effects = _differences(before, self._aims(self._members.values()))
        changed = tuple(track for track in self.tracks if (track.member, track.kind) == (name, kind))
        if changed and (others := self._all_but(name)):
            effects.append(Announced(others, changed))
        return effects

    def live(self, track: int, encoding: int) -> list[Effect]:
        """The plane has seen the first packet of a track's encoding."""
        known = self._tracks.get(track)
        if known is None or encoding in known.live:
            return []
        before = self._aims(self._members.values())
        self._tracks[track] = replace(known, live=known.live | {encoding})
        return _differences(before, self._aims(self._members.values()))

    def disconnected(self, peer: int) -> list[Effect]:
        """The plane has forgotten a transport, its tracks and legs; its member stays, to connect anew."""
        member = next((known for known in self._members.values() if known.negotiated.peer == peer), None)
        if member is None:
            return []
        own = [track.track for track in member.negotiated.published]
        member.negotiated = Negotiated(self._numbers.peer(), member.negotiated.session)
        told = [effect for effect in self._end(own) if not isinstance(effect, Do)]
        return [*told, Reconnect(member.name)]

    def _negotiate(
        self, member: _Member, offer: Description, wants: Mapping[str, str], fresh: IceCredentials
    ) -> Outcome:
        forwards: dict[str, Forward] = {}
        for mid, wanted in wants.items():
            track = self._tracks.get(self._named.get(wanted, 0))
            if track is not None and track.owner != member.name:
                forwards[mid] = track.forward
        room_left = self._limits.tracks - len(self._tracks) + len(member.negotiated.published)
        policy = replace(self._policy, max_tracks=min(self._policy.max_tracks, room_left))
        return negotiate(
            member.negotiated, offer, policy=policy, forwards=forwards, fresh=fresh, numbers=self._numbers
        )

    def _begin(self, member: _Member, track: AddTrack) -> TrackOf:
        self._tracks_named += 1
        name = f"t{self._tracks_named}"
        forward = Forward(track.track, track.kind, track.codec, member.stream, name)
        begun = _Track(member.name, track.mid, forward)
        self._tracks[track.track] = begun
        self._named[name] = track.track
        return self._public(begun)

    def _public(self, track: _Track) -> TrackOf:
        forward = track.forward
        muted = forward.kind in self._members[track.owner].muted
        return TrackOf(forward.name, track.owner, forward.kind, track.mid, muted)

    def _end(self, ended: Collection[int]) -> list[Effect]:
        """Takes tracks from everyone; the plane loses their legs before it loses them."""
        if not ended:
            return []
        effects: list[Effect] = []
        names: list[str] = []
        owners: set[str] = set()
        for track in ended:
            known = self._tracks.pop(track)
            names.append(known.forward.name)
            owners.add(known.owner)
            del self._named[known.forward.name]
        for member in self._members.values():
            member.negotiated, gone = member.negotiated.without_tracks(ended)
            effects += [Do(leg) for leg in gone]
            for track in ended:
                member.wishes.pop(track, None)
        others = tuple(name for name in self._members if name not in owners)
        return [*effects, Ended(others, tuple(names))] if others else effects

    def _aims(self, members: Collection[_Member]) -> dict[int, _Aim]:
        """How each leg to ``members`` is to be aimed; what is shown larger goes first."""
        aims: dict[int, _Aim] = {}
        for member in members:
            for leg in member.negotiated.legs:
                track = self._tracks[leg.track]
                wish = member.wishes.get(leg.track, _NO_WISH)
                muted = track.forward.kind in self._members[track.owner].muted
                useful = [place for place in track.live if wish.highest is None or place <= wish.highest]
                priority = _TOP_PRIORITY if wish.highest is None else min(wish.highest, _TOP_PRIORITY - 1)
                aims[leg.leg] = None if wish.paused or muted else (max(useful, default=0), priority)
        return aims

    def _all_but(self, name: str) -> tuple[str, ...]:
        return tuple(member for member in self._members if member != name)


def _differences(before: Mapping[int, _Aim], after: Mapping[int, _Aim]) -> list[Effect]:
    """What must be aimed anew of the legs in ``before``."""
    changed = {leg: after[leg] for leg, aim in before.items() if after[leg] != aim}
    return [Do(AimLeg(leg, *(aim or (None,)))) for leg, aim in changed.items()]
