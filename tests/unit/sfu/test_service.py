from __future__ import annotations

import asyncio

import pytest
from callcluster_common import redis_keys
from callcluster_common.messages.client import Layout, LayoutData, Wish
from callcluster_common.messages.server import AnswerRelay, Sfu
from callcluster_sfu.negotiation import AddLeg, AddPeer, AimLeg
from callcluster_sfu.rooms.outgoing import NEWS
from callcluster_sfu.rooms.rooms import CHECK_SECONDS
from callcluster_sfu.sdp.values import Direction
from kit.eventually import eventually
from kit.sfu_house import ROOM, House
from kit.sfu_offers import audio
from kit.sfu_room import sid_of

ANN, BOB = sid_of("ann"), sid_of("bob")


async def test_a_wanted_room_gets_its_seat_taken_and_its_members_told(house: House) -> None:
    await house.seated("ann", "bob")
    assert house.told("ann").d.tracks == []
    assert house.told("ann").d.route != house.told("bob").d.route
    assert house.claim.startswith("sfu.")
    state = await house.bus.state(ROOM)
    assert state is not None
    assert state.seat == house.claim
    assert house.pods == {"podann": 1, "podbob": 1}


async def test_offers_lead_to_transports_answers_and_news(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    (answer,) = [frame for frame in house.said[ANN] if isinstance(frame, AnswerRelay)]
    assert answer.by_sfu
    assert answer.d.published == {"0": "t1"}
    (track,) = house.told("bob").d.tracks
    assert (track.track, track.sid, track.kind, track.mid) == ("t1", ANN, "audio", "0")
    await house.offer("bob", 1, audio("0"), audio("1", Direction.RECVONLY))
    assert any(isinstance(command, AddLeg) for command in house.plane.commands)
    assert house.service.participants == 2
    assert house.service.tracks == 2


async def test_a_layout_pauses_a_track(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    await house.offer("bob", 1, audio("0", Direction.RECVONLY))
    house.post("bob", Layout(d=LayoutData({"t1": Wish(paused=True)})))
    last = house.plane.commands[-1]
    assert isinstance(last, AimLeg)
    assert last.highest is None


@pytest.mark.parametrize(
    "changed",
    [
        {"sid": sid_of("eve")},
        {"from_claim": "podann.2"},
        {"from_claim": ""},
        {"claim": "sfu.99"},
        {"room": redis_keys.room("another").name},
    ],
)
async def test_an_offer_that_is_not_a_members_own_does_nothing(
    house: House, changed: dict[str, str]
) -> None:
    await house.seated("ann", "bob")
    before = len(house.said[ANN])
    await house.offer("ann", 1, audio("0"), **changed)
    assert house.plane.commands == []
    assert len(house.said[ANN]) == before
    assert house.counts.dropped.total() == 1


async def test_rubbish_is_counted_and_dropped(house: House) -> None:
    await house.seated("ann", "bob")
    for rubbish in (b"", b"{}", b'{"type":"replaced","sid":"x","claim":"y"}'):
        house.service.on_post(rubbish)
    assert house.counts.dropped == {"malformed": 3}


async def test_who_came_a_moment_ago_is_looked_up_before_it_is_turned_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.seated("ann", "bob")
    pushed = house.service.on_entry
    monkeypatch.setattr(house.service, "on_entry", lambda *_: None)
    await house.join("cid")
    monkeypatch.setattr(house.service, "on_entry", pushed)
    await house.offer("cid", 0, audio("0"))
    # The route was a guess; what counts is that the SFU knows the member now, and says its route.
    assert house.told("cid").d.route.startswith(house.claim)
    assert house.counts.dropped.total() == 0


async def test_who_is_removed_loses_the_transport_in_the_same_tick(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    assert len(house.plane.peers) == 1
    await house.leave("ann")
    assert house.plane.peers == set()
    await house.offer("ann", 2, audio("0"))
    assert house.plane.peers == set()


async def test_a_transport_whose_order_the_plane_refused_begins_anew(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    route = house.told("ann").d.route
    added = next(command for command in house.plane.commands if isinstance(command, AddPeer))
    house.service.refused(added, "unknown-name")
    await house.settle()
    assert house.told("ann").d.route == route, "news of its end are on their way"
    house.plane.tracks.clear()
    house.service.refused(added, "too-many")
    await house.settle()
    assert house.told("ann").d.route != route
    assert house.service.participants == house.service.tracks == 0


async def test_a_mistake_of_ours_that_a_member_finds_costs_that_member_alone(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    await house.offer("bob", 1, audio("0"))
    route = house.told("ann").d.route

    def mistake(*_: object, **__: object) -> None:
        raise KeyError("192.0.2.1")

    with monkeypatch.context() as patch:
        patch.setattr("callcluster_sfu.room.room.negotiate", mistake)
        await house.offer("ann", 2, audio("0"))
    assert house.told("ann").d.route != route
    assert len(house.plane.peers) == 1
    assert house.told("bob").d.tracks == []
    await house.offer("ann", 1, audio("0"))
    assert len(house.plane.peers) == 2
    assert house.counts.failures == 1
    assert "192.0.2.1" not in caplog.text
    house.counts.failures = 0


async def test_after_an_outage_everybody_is_told_again(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    await house.tick()
    before = len(house.said[ANN])
    await house.tick()
    assert len(house.said[ANN]) == before
    house.service.on_return(False)
    await house.tick()
    assert len(house.said[ANN]) == before + 1


async def test_what_was_lost_on_the_way_is_told_again_and_caught_up_with(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    monkeypatch.setattr(house.service, "on_entry", lambda *_: None)
    await house.leave("ann")
    house.later(CHECK_SECONDS)
    before = len(house.said[BOB])
    await house.service.tick()
    await house.settle()
    assert house.plane.peers == set()
    assert len(house.said[BOB]) > before
    assert house.told("bob").d.tracks == []


async def test_who_begins_and_ends_a_track_again_and_again_has_nobody_written_to_as_often(
    house: House,
) -> None:
    await house.seated("ann", "bob")
    loop = asyncio.get_running_loop()
    before, since = len(house.said[BOB]), loop.time()
    for seq in range(1, 11):
        await house.offer("ann", seq, audio("0", Direction.SENDONLY if seq % 2 else Direction.INACTIVE))
    assert len([frame for frame in house.said[ANN] if isinstance(frame, AnswerRelay)]) == 10
    house.later(1.0)
    await eventually(lambda: house.told("bob").d.tracks == [], within=30)
    at_most = NEWS.burst + NEWS.per_second * (loop.time() - since)
    assert 0 < len(house.said[BOB]) - before <= at_most


async def test_who_comes_in_is_told_at_once_whatever_else_there_is_to_tell(house: House) -> None:
    await house.seated("ann", "bob")
    for seq in range(1, 11):
        await house.offer("ann", seq, audio("0", Direction.SENDONLY if seq % 2 else Direction.INACTIVE))
    await house.join("cid")
    await house.settle()
    assert house.told("cid").d.route


async def test_an_offer_above_a_members_rate_is_answered_later_by_itself(house: House) -> None:
    await house.seated("ann", "bob")
    for seq in range(31):
        await house.offer("ann", seq, audio("0", Direction.INACTIVE if seq % 2 else Direction.SENDONLY))
    house.later(1.0)
    await house.tick()
    (track,) = house.plane.tracks.values()
    assert max(frame.d.seq or 0 for frame in house.said[ANN] if isinstance(frame, AnswerRelay)) == 30
    assert track.mid == "0"


async def test_who_has_not_offered_is_told_of_its_route_again_soon_and_not_for_ever(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("bob", 1, audio("0"))
    before = len(house.said[BOB])
    for _ in range(10):
        await house.tick()
    assert len(house.said[BOB]) == before
    assert [frame.d.route for frame in house.said[ANN] if isinstance(frame, Sfu)] == [
        house.told("ann").d.route
    ] * 6, "once at first, once of the track, and four times again"


async def test_a_mistake_with_one_rooms_entry_costs_that_room_its_seat_and_no_other_room_anything(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = redis_keys.room("another")
    await house.join("dan", other)
    await house.seated("ann", "bob")
    house.service.on_wanted(other.name)
    await eventually(lambda: house.service.rooms == 2)
    await house.offer("ann", 1, audio("0", Direction.RECVONLY))
    assert len(house.plane.peers) == 1

    def mistake(*_: object) -> None:
        raise KeyError("192.0.2.1")

    with monkeypatch.context() as patch:
        patch.setattr("callcluster_sfu.rooms.roster.split_line", mistake)
        patch.setattr("callcluster_sfu.rooms.roster.Roster.catch_up", mistake)
        await house.join("cid")
        await house.settle()
    assert house.counts.failures == 1
    assert "192.0.2.1" not in caplog.text
    assert house.plane.peers == set()
    assert await house.seat() == ""
    assert await house.seat(other) != ""
    house.service.on_wanted(ROOM.name)
    await eventually(lambda: house.service.rooms == 2)
    house.counts.failures = 0


async def test_a_mistake_in_what_is_said_in_one_room_silences_no_other_room(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = redis_keys.room("another")
    await house.join("dan", other)
    house.service.on_wanted(other.name)
    await eventually(lambda: house.service.rooms == 1)
    await house.settle()

    def mistake(*_: object, **__: object) -> None:
        raise KeyError

    with monkeypatch.context() as patch:
        patch.setattr("callcluster_sfu.rooms.seat.Seat.due", mistake)
        await house.join("eve", other)
        await house.settle()
    assert house.counts.failures == 1
    await house.seated("ann", "bob")
    assert house.told("ann").d.route
    house.counts.failures = 0
