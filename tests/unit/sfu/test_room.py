from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from callcluster_sfu.negotiation import (
    AddLeg,
    AddTrack,
    AimLeg,
    Numbers,
    RemoveLeg,
    RemovePeer,
    RemoveTrack,
)
from callcluster_sfu.room import (
    Announced,
    Answered,
    Declined,
    Do,
    Effect,
    Ended,
    Reconnect,
    Room,
    RoomLimits,
    TrackOf,
    Wish,
)
from callcluster_sfu.sdp import serialize
from callcluster_sfu.sdp.values import Direction, IceCredentials, Section
from kit.sfu_offers import POLICY, audio, offer, video
from kit.sfu_plane import PlaneBooks

FRESH = IceCredentials("fresh", "f" * 24)
RECVONLY = Direction.RECVONLY
Kind = TypeVar("Kind")


class Call:
    """A room, and a plane that does what it says."""

    def __init__(self, *members: str, limits: RoomLimits | None = None) -> None:
        self.room = Room(POLICY, Numbers(1_000), limits)
        self.plane = PlaneBooks()
        self.version = 0
        for member in members:
            self.room.admit(member, 1)

    def done(self, effects: list[Effect]) -> list[Effect]:
        self.plane.carry_out(effect.command for effect in effects if isinstance(effect, Do))
        return effects

    def offer(
        self, member: str, *sections: Section, wants: Mapping[str, str] | None = None
    ) -> list[Effect]:
        self.version += 1
        text = serialize(offer(*sections, version=self.version))
        return self.done(self.room.offered(member, text, wants or {}, FRESH))


def track(name: str, member: str, kind: str, mid: str = "0", *, muted: bool = False) -> TrackOf:
    return TrackOf(name, member, kind, mid, muted)


def only(effects: list[Effect], kind: type[Kind]) -> list[Kind]:
    return [effect for effect in effects if isinstance(effect, kind)]


def commands(effects: list[Effect], kind: type[Kind]) -> list[Kind]:
    return [
        effect.command for effect in effects if isinstance(effect, Do) and isinstance(effect.command, kind)
    ]


def test_what_one_publishes_is_announced_to_the_others() -> None:
    call = Call("ann", "bob", "cid")
    effects = call.offer("ann", audio("0"), video("1"))
    assert only(effects, Announced) == [
        Announced(("bob", "cid"), (track("t1", "ann", "audio"), track("t2", "ann", "video", mid="1")))
    ]
    (answered,) = only(effects, Answered)
    assert (answered.to, answered.published) == ("ann", {"0": "t1", "1": "t2"})


def test_who_comes_later_hears_of_what_is_there() -> None:
    call = Call("ann")
    call.offer("ann", audio("0"))
    assert call.room.admit("bob", 1) == [Announced(("bob",), (track("t1", "ann", "audio"),))]
    assert call.room.admit("bob", 1) == []


def test_a_track_that_is_asked_for_gets_a_leg() -> None:
    call = Call("ann", "bob")
    call.offer("ann", video("0"))
    effects = call.offer("bob", video("0", RECVONLY), wants={"0": "t1"})
    (leg,) = commands(effects, AddLeg)
    assert call.plane.tracks[leg.track].mid == "0"
    assert "a=msid:m1 t1" in only(effects, Answered)[0].sdp


def test_nobody_gets_their_own_track_or_one_that_is_not_there() -> None:
    call = Call("ann")
    call.offer("ann", video("0"))
    effects = call.offer(
        "ann", video("0"), video("1", RECVONLY), video("2", RECVONLY), wants={"1": "t1", "2": "t9"}
    )
    assert commands(effects, AddLeg) == []
    assert only(effects, Declined) == []


def test_a_stranger_is_declined() -> None:
    call = Call("ann")
    assert call.offer("eve", audio("0")) == [Declined("eve", "not in this room")]


def test_a_broken_offer_is_declined_with_the_reason_and_changes_nothing() -> None:
    call = Call("ann")
    assert call.room.offered("ann", "v=1\n", {}, FRESH) == [Declined("ann", "line 1, v=: must be 0")]
    assert call.room.tracks == ()


def test_a_full_room_lets_nobody_in() -> None:
    call = Call("ann", limits=RoomLimits(members=1))
    assert call.room.admit("bob", 1) == [Declined("bob", "the room is full")]
    assert call.room.members == ("ann",)


def test_a_room_has_no_more_tracks_than_its_limit() -> None:
    call = Call("ann", "bob", limits=RoomLimits(tracks=2))
    call.offer("ann", audio("0"))
    effects = call.offer("bob", audio("0"), video("1"))
    assert only(effects, Answered)[0].unserved == ("1",)
    assert len(call.room.tracks) == 2


def test_who_leaves_takes_tracks_and_legs_along() -> None:
    call = Call("ann", "bob")
    call.offer("ann", video("0"))
    call.offer("bob", audio("0"), video("1", RECVONLY), wants={"1": "t1"})
    call.offer("ann", video("0"), audio("1", RECVONLY), wants={"1": "t2"})
    effects = call.done(call.room.dismiss("ann"))
    assert [type(effect.command) for effect in only(effects, Do)] == [
        RemoveLeg,
        RemoveLeg,
        RemoveTrack,
        RemovePeer,
    ]
    assert only(effects, Ended) == [Ended(("bob",), ("t1",))]
    assert call.plane.legs == {}
    assert call.room.dismiss("ann") == []


def test_a_track_that_ends_is_told_and_loses_its_legs_first() -> None:
    call = Call("ann", "bob")
    call.offer("ann", video("0"))
    call.offer("bob", video("0", RECVONLY), wants={"0": "t1"})
    effects = call.offer("ann", video("0", Direction.INACTIVE))
    assert [type(effect.command) for effect in only(effects, Do)] == [RemoveLeg, RemoveTrack]
    assert only(effects, Ended) == [Ended(("bob",), ("t1",))]


def test_a_leg_is_aimed_at_the_best_encoding_that_is_live() -> None:
    call = Call("ann", "bob")
    call.offer("ann", video("0", rids=("q", "h", "f")))
    effects = call.offer("bob", video("0", RECVONLY), wants={"0": "t1"})
    (aimed,) = commands(effects, AimLeg)
    assert aimed.highest == 0
    (track,) = call.plane.tracks
    assert call.done(call.room.live(track, 2)) == [Do(AimLeg(aimed.leg, 2, 255))]
    assert call.room.live(track, 1) == call.room.live(track, 2) == call.room.live(99, 0) == []


def test_a_wish_aims_the_leg_and_holds_for_one_to_come() -> None:
    call = Call("ann", "bob")
    call.offer("ann", video("0", rids=("q", "h", "f")))
    (track,) = call.plane.tracks
    call.room.live(track, 1)
    call.room.live(track, 2)
    assert call.room.wish("bob", {"t1": Wish(highest=1), "t7": Wish(paused=True)}) == []
    effects = call.offer("bob", video("0", RECVONLY), wants={"0": "t1"})
    (aimed,) = commands(effects, AimLeg)
    assert aimed.highest == 1
    assert call.room.wish("bob", {"t1": Wish(paused=True)}) == [Do(AimLeg(aimed.leg, None))]
    assert call.room.wish("bob", {"t1": Wish(paused=True)}) == []


def test_what_is_shown_larger_goes_first() -> None:
    call = Call("ann", "bob")
    call.offer("ann", video("0"))
    (aimed,) = commands(call.offer("bob", video("0", RECVONLY), wants={"0": "t1"}), AimLeg)
    ranks = [aimed.priority]
    for highest in (2, 1, 0):
        (aimed,) = commands(call.done(call.room.wish("bob", {"t1": Wish(highest=highest)})), AimLeg)
        ranks.append(aimed.priority)
    assert ranks == sorted(set(ranks), reverse=True)


def test_a_mute_pauses_every_leg_and_cannot_be_got_round_by_publishing_anew() -> None:
    call = Call("ann", "bob")
    call.offer("ann", audio("0"), video("1"))
    call.offer("bob", audio("0", RECVONLY), video("1", RECVONLY), wants={"0": "t1", "1": "t2"})
    (muted,) = commands(call.done(call.room.mute("ann", "audio", muted=True)), AimLeg)
    assert muted.highest is None
    call.offer("ann", audio("0", Direction.INACTIVE), video("1"), audio("2"))
    effects = call.offer("bob", audio("0", RECVONLY), video("1", RECVONLY), wants={"0": "t3", "1": "t2"})
    (leg,) = commands(effects, AddLeg)
    assert commands(effects, AimLeg) == []
    assert call.plane.targets[leg.leg] is None
    effects = call.done(call.room.mute("ann", "audio", muted=False))
    assert effects == [
        Do(AimLeg(leg.leg, 0, 255)),
        Announced(("bob",), (track("t3", "ann", "audio", "2"),)),
    ]
    assert call.room.mute("ann", "audio", muted=False) == []


def test_a_wish_cannot_undo_a_mute() -> None:
    call = Call("ann", "bob")
    call.offer("ann", audio("0"))
    call.offer("bob", audio("0", RECVONLY), wants={"0": "t1"})
    call.room.mute("ann", "audio", muted=True)
    assert call.room.wish("bob", {"t1": Wish(highest=5)}) == []


def test_who_loses_the_connection_stays_and_starts_anew() -> None:
    call = Call("ann", "bob")
    call.offer("ann", video("0"))
    call.offer("bob", video("0", RECVONLY), wants={"0": "t1"})
    (peer,) = {track.peer for track in call.plane.tracks.values()}
    call.plane.forget(peer)
    assert call.room.disconnected(peer) == [Ended(("bob",), ("t1",)), Reconnect("ann")]
    assert call.room.disconnected(peer) == []
    effects = call.offer("ann", video("0"))
    assert only(effects, Announced) == [Announced(("bob",), (track("t2", "ann", "video"),))]


def test_tracks_of_one_member_share_a_stream_and_no_name_comes_twice() -> None:
    call = Call("ann", "bob")
    call.offer("ann", audio("0"), video("1"))
    call.offer("ann", audio("0"), video("1", Direction.INACTIVE))
    effects = call.offer("ann", audio("0"), video("1"))
    assert only(effects, Answered)[0].published == {"0": "t1", "1": "t3"}
    assert [track.codec for track in commands(effects, AddTrack)] == ["vp8"]


def test_a_limit_of_the_room_does_not_end_what_is_running() -> None:
    call = Call("ann", limits=RoomLimits(tracks=1))
    call.offer("ann", audio("0"))
    effects = call.offer("ann", replace(audio("0")), video("1"))
    assert commands(effects, RemoveTrack) == []
    assert len(call.room.tracks) == 1
