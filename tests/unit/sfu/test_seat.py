from typing import TypeVar

import pytest
from callcluster_common.bus import Entry
from callcluster_sfu.negotiation import AddLeg, AddPeer, AimLeg, Numbers, RemovePeer
from callcluster_sfu.room import Room, RoomLimits, TrackOf, Wish
from callcluster_sfu.rooms.says import Answer, Refusal, Tracks
from callcluster_sfu.rooms.seat import CHANGES, FULL, Effect, Offered, Seat
from callcluster_sfu.sdp import serialize
from callcluster_sfu.sdp.values import Direction, IceCredentials, Section
from kit.sfu_offers import POLICY, audio, offer, video
from kit.sfu_plane import PlaneBooks
from kit.sfu_room import EPOCH, LedgerOfTests, sid_of

ANN, BOB, CID = sid_of("ann"), sid_of("bob"), sid_of("cid")
Kind = TypeVar("Kind")


class Call:
    """A seat, the ledger that it follows, and a plane that keeps books."""

    def __init__(self, *names: str, limits: RoomLimits | None = None) -> None:
        self.space = True
        self.clock = 0.0
        self.made = 0
        self.ledger = LedgerOfTests(*names)
        self.plane = PlaneBooks()
        self.seat = Seat(
            "sfu.1",
            Room(POLICY, Numbers(1_000), limits),
            fresh=self._fresh,
            session=lambda: 5,
            may_connect=lambda: self.space,
            now=lambda: self.clock,
        )
        self.routes: dict[str, str] = {}
        self.done(self.seat.load(self.ledger.state()))

    def _fresh(self) -> IceCredentials:
        self.made += 1
        return IceCredentials(f"ufrag{self.made}", "p" * 24)

    def done(self, effects: list[Effect]) -> list[Effect]:
        self.plane.carry_out(effect for effect in effects if not isinstance(effect, Answer | Refusal))
        return effects

    def told(self) -> dict[str, Tracks]:
        """What members were told of the tracks since the last call."""
        told = {tracks.sid: tracks for tracks in self.seat.due()}
        self.routes.update({sid: tracks.route for sid, tracks in told.items()})
        return told

    def push(self, entry: Entry) -> list[Effect]:
        return self.done(self.seat.receive(EPOCH, entry.off, entry.line))

    def offer(self, sid: str, seq: int, *sections: Section, **wants: str) -> list[Effect]:
        self.told()
        text = serialize(offer(*sections, version=seq))
        wanted = {mid.removeprefix("mid"): track for mid, track in wants.items()}
        return self.done(self.seat.offered(Offered(sid, self.routes[sid], seq, text, wanted)))


def only(effects: list[Effect], kind: type[Kind]) -> list[Kind]:
    return [effect for effect in effects if isinstance(effect, kind)]


@pytest.fixture
def call() -> Call:
    return Call("ann", "bob")


def test_everybody_gets_a_route_of_its_own_at_once(call: Call) -> None:
    told = call.told()
    assert {sid: tracks.tracks for sid, tracks in told.items()} == {ANN: (), BOB: ()}
    routes = [tracks.route for tracks in told.values()]
    assert len(set(routes)) == 2
    assert all(route.startswith("sfu.1-") for route in routes)
    assert call.told() == {}


def test_an_offer_is_answered_on_its_route_and_the_others_are_told(call: Call) -> None:
    (answer,) = only(call.offer(ANN, 1, audio("0"), video("1")), Answer)
    assert (answer.sid, answer.route, answer.seq) == (ANN, call.routes[ANN], 1)
    assert answer.published == {"0": "t1", "1": "t2"}
    told = call.told()
    assert set(told) == {BOB}
    assert told[BOB].tracks == (
        TrackOf("t1", ANN, "audio", "0", False),
        TrackOf("t2", ANN, "video", "1", False),
    )


def test_a_repeated_offer_gets_the_same_answer_and_an_older_one_none(call: Call) -> None:
    first = call.offer(ANN, 1, audio("0"))
    assert call.offer(ANN, 1, audio("0")) == only(first, Answer)
    second = call.offer(ANN, 2, audio("0"), video("1"))
    assert call.offer(ANN, 2, audio("0")) == only(second, Answer)
    assert call.offer(ANN, 1, audio("0")) == []


def test_a_refused_offer_is_refused_again_when_repeated(call: Call) -> None:
    call.told()
    rubbish = Offered(ANN, call.routes[ANN], 1, "v=1\n", {})
    assert call.seat.offered(rubbish) == call.seat.offered(rubbish) != []
    (refusal,) = only(call.seat.offered(rubbish), Refusal)
    assert refusal.reason == "line 1, v=: must be 0"


def test_an_offer_on_a_stale_route_is_answered_by_the_right_one(call: Call) -> None:
    call.told()
    assert call.seat.offered(Offered(ANN, "sfu.0-1", 9, "v=0", {})) == []
    assert set(call.told()) == {ANN}
    assert call.plane.peers == set()


def test_who_is_no_member_gets_nothing_at_all(call: Call) -> None:
    assert not call.seat.speaks_for("pod.eve", sid_of("eve"))
    assert not call.seat.speaks_for("", sid_of("eve"))
    assert not call.seat.speaks_for("pod.bob", ANN)
    assert call.seat.speaks_for("pod.ann", ANN)
    call.push(call.ledger.reconnecting("ann"))
    assert not call.seat.speaks_for("", ANN)


def test_who_is_out_loses_the_transport_at_once_and_the_others_its_tracks(call: Call) -> None:
    call.offer(ANN, 1, audio("0"))
    call.offer(BOB, 1, audio("0"), audio("1", Direction.RECVONLY), mid1="t1")
    assert len(call.plane.legs) == 1
    effects = call.push(call.ledger.left("ann", "kicked"))
    assert only(effects, RemovePeer) != []
    assert call.plane.legs == {}
    assert call.told()[BOB].tracks == ()
    assert not call.seat.speaks_for("pod.ann", ANN)


def test_a_lost_socket_does_not_touch_media_and_a_new_one_is_told_again(call: Call) -> None:
    call.offer(ANN, 1, audio("0"))
    call.told()
    assert call.push(call.ledger.reconnecting("ann")) == []
    assert call.push(call.ledger.resumed("ann", "other.4")) == []
    told = call.told()
    assert set(told) == {ANN}
    assert told[ANN].route == call.routes[ANN]
    assert call.seat.connected == 1


def test_a_lost_transport_gets_a_new_route_whose_numbers_begin_anew(call: Call) -> None:
    call.offer(ANN, 4, audio("0"))
    before = call.routes[ANN]
    (peer,) = call.plane.peers
    call.plane.forget(peer)
    call.done(call.seat.disconnected(peer))
    told = call.told()
    assert told[ANN].route != before
    assert told[BOB].tracks == ()
    (answer,) = only(call.offer(ANN, 0, audio("0")), Answer)
    assert answer.published == {"0": "t2"}


def test_a_transport_that_the_plane_refused_is_removed_and_begins_anew(call: Call) -> None:
    call.offer(ANN, 1, audio("0"))
    before = call.routes[ANN]
    (peer,) = call.plane.peers
    assert call.seat.reset(peer) == [RemovePeer(peer)]
    assert call.told()[ANN].route != before
    assert call.seat.connected == 0


def test_the_revision_rises_with_the_tracks_alone(call: Call) -> None:
    first = call.told()[BOB].revision
    call.seat.repeat()
    assert call.told()[BOB].revision == first
    call.offer(ANN, 1, audio("0"))
    assert call.told()[BOB].revision > first


def test_changes_of_one_tick_are_told_once(call: Call) -> None:
    call.offer(ANN, 1, audio("0"))
    call.told()
    call.push(call.ledger.joined("cid"))
    call.push(call.ledger.left("ann"))
    told = [tracks.sid for tracks in call.seat.due()]
    assert sorted(told) == sorted([BOB, CID])


def test_a_wish_aims_the_leg(call: Call) -> None:
    call.offer(ANN, 1, audio("0"))
    call.offer(BOB, 1, audio("0", Direction.RECVONLY), mid0="t1")
    (leg,) = call.plane.legs
    assert call.done(call.seat.wished(BOB, {"t1": Wish(paused=True)})) == [AimLeg(leg, None)]


def test_without_space_no_new_transport_begins_and_those_there_go_on(call: Call) -> None:
    call.offer(ANN, 1, audio("0"))
    call.space = False
    (refusal,) = call.offer(BOB, 1, audio("0"))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == FULL
    assert only(call.offer(ANN, 2, audio("0"), video("1")), Answer) != []
    call.space = True
    assert only(call.offer(BOB, 1, audio("0")), AddPeer) != []


def test_who_found_the_room_full_comes_in_when_somebody_leaves() -> None:
    call = Call("ann", "bob", "cid", limits=RoomLimits(members=2))
    assert set(call.told()) == {ANN, BOB}
    refused = call.seat.offered(Offered(CID, "", 1, "v=0", {}))
    assert refused == [Refusal(CID, "", 1, FULL)]
    call.push(call.ledger.left("ann"))
    assert set(call.told()) == {CID}


def test_who_finds_the_room_full_is_told_so() -> None:
    call = Call("ann", "bob", limits=RoomLimits(members=2))
    effects = call.push(call.ledger.joined("cid"))
    assert effects == [Refusal(CID, "sfu.1-0", 0, FULL)]
    assert call.push(call.ledger.message("ann")) == [], "once"
    call.push(call.ledger.reconnecting("cid"))
    assert call.push(call.ledger.resumed("cid", "other.4")) == effects, "and on a new socket"


def flip(call: Call, seq: int) -> list[Effect]:
    return call.offer(ANN, seq, audio("0", Direction.SENDONLY if seq % 2 else Direction.INACTIVE))


def test_offers_that_change_tracks_too_often_are_answered_when_time_has_passed(call: Call) -> None:
    call.offer(BOB, 1, audio("0"), audio("1", Direction.RECVONLY), mid1="t9")
    for seq in range(1, int(CHANGES.burst) + 1):
        assert only(flip(call, seq), Answer) != []
    tracks, routes = dict(call.plane.tracks), dict(call.routes)
    last = int(CHANGES.burst) + 1
    assert flip(call, last) == flip(call, last) == []
    assert call.seat.answer_late() == []
    assert (call.plane.tracks, call.routes) == (tracks, routes)
    assert only(call.offer(BOB, 2, audio("0"), audio("1")), Answer) != [], "others have rates of their own"
    call.clock += 1 / CHANGES.per_second
    (answer,) = only(call.done(call.seat.answer_late()), Answer)
    assert answer.seq == last
    assert call.seat.answer_late() == []
    assert flip(call, last) == [answer]


def test_of_offers_that_come_too_often_the_latest_is_answered(call: Call) -> None:
    last = int(CHANGES.burst) + 1
    for seq in range(1, last):
        flip(call, seq)
    assert flip(call, last) == flip(call, last + 2) == flip(call, last + 1) == []
    call.clock += 10
    (answer,) = only(call.done(call.seat.answer_late()), Answer)
    assert answer.seq == last + 2


def test_offers_that_change_no_tracks_are_answered_however_many_come(call: Call) -> None:
    for seq in range(1, 5 * int(CHANGES.burst)):
        assert only(call.offer(ANN, seq, audio("0")), Answer) != []


def test_a_new_transport_brings_no_fresh_rate(call: Call) -> None:
    for seq in range(1, int(CHANGES.burst) + 1):
        flip(call, seq)
    (peer,) = call.plane.peers
    call.plane.forget(peer)
    call.done(call.seat.disconnected(peer))
    assert flip(call, 1) == []


def test_changes_of_tracks_can_wait_and_routes_can_not(call: Call) -> None:
    call.told()
    call.offer(ANN, 1, audio("0"))
    call.push(call.ledger.joined("cid"))
    assert [told.sid for told in call.seat.due(news=False)] == [CID]
    assert call.seat.has_news
    assert [told.sid for told in call.seat.due()] == [BOB]
    assert not call.seat.has_news


def test_what_a_moderator_blocks_reaches_nobody_and_all_are_told(call: Call) -> None:
    call.offer(ANN, 1, audio("0"), video("1"))
    call.offer(BOB, 1, audio("0", Direction.RECVONLY), video("1", Direction.RECVONLY), mid0="t1", mid1="t2")
    heard, seen = sorted(call.plane.legs)
    before = call.told()
    call.push(call.ledger.block("ann", "audio", blocked=True))
    assert call.plane.targets[heard] is None
    assert call.plane.targets[seen] is not None
    told = call.told()
    assert set(told) == {BOB}
    assert [track.muted for track in told[BOB].tracks] == [True, False]
    assert all(told[BOB].revision > one.revision for one in before.values())
    call.push(call.ledger.block("ann", "audio", blocked=False))
    assert call.plane.targets[heard] is not None
    assert [track.muted for track in call.told()[BOB].tracks] == [False, False]


def test_a_block_holds_at_the_next_sfu_and_for_tracks_and_transports_to_come() -> None:
    call = Call("ann", "bob")
    call.ledger.block("ann", "audio", blocked=True)
    call.done(call.seat.load(call.ledger.state()._replace(epoch="epoch-2")))
    for seq, route in ((1, "t1"), (0, "t2")):
        call.offer(ANN, seq, audio("0"))
        assert [track.muted for track in call.told()[BOB].tracks] == [True]
        call.offer(BOB, 1 + seq, audio("0", Direction.RECVONLY), mid0=route)
        peer = next(track.peer for track in call.plane.tracks.values())
        call.plane.forget(peer)
        call.done(call.seat.disconnected(peer))


def test_a_block_ends_with_the_membership(call: Call) -> None:
    call.push(call.ledger.block("ann", "audio", blocked=True))
    call.push(call.ledger.left("ann"))
    del call.ledger.blocked[ANN]
    call.push(call.ledger.joined("ann"))
    call.offer(ANN, 1, audio("0"))
    assert [track.muted for track in call.told()[BOB].tracks] == [False]


def test_a_closed_seat_leaves_nothing_on_the_plane(call: Call) -> None:
    call.offer(ANN, 1, audio("0"), video("1"))
    effects = call.offer(BOB, 1, audio("0", Direction.RECVONLY), mid0="t1")
    assert only(effects, AddLeg) != []
    call.done(call.seat.close())
    assert (call.plane.peers, call.plane.tracks, call.plane.legs) == (set(), {}, {})
    assert call.seat.due() == []
