"""Which seats the service takes, keeps and gives up."""

from __future__ import annotations

import asyncio

import pytest
from callcluster_common import redis_keys
from callcluster_common.bus import SEAT_MS, RoomState
from callcluster_common.messages.server import SfuRefused
from callcluster_common.redis_keys import RoomKeys
from callcluster_sfu.rooms.service import MOVE_SECONDS, REST_SECONDS, UNUSED_SECONDS
from callcluster_sfu.sdp.values import Direction
from kit.eventually import eventually
from kit.sfu_house import ROOM, House
from kit.sfu_offers import audio
from kit.sfu_room import sid_of


def hold_up(house: House, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Redis does not answer who asks for a seat before the event."""
    gate = asyncio.Event()
    take_seat = house.bus.take_seat

    async def slowly(room: RoomKeys, claim: str, uid: str) -> RoomState | None:
        await gate.wait()
        return await take_seat(room, claim, uid)

    monkeypatch.setattr(house.bus, "take_seat", slowly)
    return gate


async def test_an_empty_room_is_let_go_and_its_seat_left(house: House) -> None:
    await house.seated("ann")
    await house.offer("ann", 1, audio("0"))
    await house.leave("ann")
    await eventually(lambda: house.service.idle)
    assert await house.seat() == ""
    assert house.plane.peers == set()


async def test_a_seat_outlasts_its_lease_while_it_is_kept(house: House) -> None:
    await house.seated("ann", "bob")
    for _ in range(10):
        house.clock += 1_000
        await house.service.tick()
    assert await house.bus.take_seat(ROOM, "other.1", "other.2") is None
    assert house.counts.seats == {"taken": 1}


async def test_a_seat_that_was_cleared_is_taken_again_with_its_transports(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    house.clock += 6_000
    await house.bus.clear_seats([ROOM], "pod.5")
    await house.tick()
    assert house.counts.seats["regained"] == 1
    assert len(house.plane.peers) == 1
    assert await house.seat() == house.claim


@pytest.mark.parametrize("moved", [True, False])
async def test_who_was_served_is_served_on_until_it_has_moved_to_the_sfu_that_took_the_seat(
    house: House, moved: bool
) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    await house.offer("bob", 1, audio("0", Direction.RECVONLY))
    house.clock += 6_000
    assert await house.bus.take_seat(ROOM, "other.1", "other.2") is not None
    await house.tick()
    house.later(MOVE_SECONDS / 2)
    await house.tick()
    assert len(house.plane.peers) == 2
    assert len(house.plane.legs) == 1
    if moved:
        for peer in sorted(house.plane.peers):
            house.plane.forget(peer)
            house.service.disconnected(peer)
    else:
        house.later(MOVE_SECONDS)
    await house.tick()
    assert house.plane.peers == set()
    assert house.service.idle
    assert house.counts.seats["lost"] == 1
    assert await house.seat() == "other.1"


async def test_a_room_that_redis_has_lost_is_served_on_and_its_seat_taken_when_it_is_back(
    house: House,
) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    lost = house.bus._rooms.pop(ROOM.name)
    for _ in range(3):
        await house.tick()
        house.later(SEAT_MS / 1000)
    assert len(house.plane.peers) == 1
    lost.seat, lost.seat_until = "", 0
    house.bus._rooms[ROOM.name] = lost
    await house.tick()
    assert await house.seat() == house.claim
    assert len(house.plane.peers) == 1
    assert house.counts.seats == {"taken": 1, "regained": 1}


async def test_however_long_it_takes_to_regain_one_seat_the_leases_of_others_are_renewed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = redis_keys.room("another")
    await house.join("dan", other)
    await house.seated("ann", "bob")
    house.service.on_wanted(other.name)
    await eventually(lambda: house.service.rooms == 2)
    gate = hold_up(house, monkeypatch)
    house.clock += 6_000
    await house.bus.clear_seats([ROOM], "pod.5")
    for _ in range(10):
        async with asyncio.timeout(20):
            await house.service.tick()
        house.clock += 1_000
    assert await house.seat() == ""
    await house.bus.clear_seats([other], "pod.6")
    assert await house.seat(other) != ""
    gate.set()
    await eventually(lambda: house.counts.seats["regained"] == 1)


async def test_a_seat_that_was_asked_for_before_a_drain_and_comes_during_it_is_left(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    house.clock += 6_000
    await house.bus.clear_seats([ROOM], "pod.5")
    gate = hold_up(house, monkeypatch)
    await house.tick()
    house.service.drain()
    await house.settle()
    gate.set()
    await house.settle()
    assert await house.seat() == ""
    assert len(house.plane.peers) == 1, "it goes on forwarding"
    for _ in range(3):
        await house.tick()
    assert await house.seat() == ""


@pytest.mark.parametrize("connected", [0, 1, 2])
async def test_a_seat_that_is_of_use_to_nobody_is_left_and_not_taken_again_for_a_while(
    house: House, connected: int
) -> None:
    await house.seated("ann", "bob")
    for name in ("ann", "bob")[:connected]:
        await house.offer(name, 1, audio("0"))
    for _ in range(3):
        await house.tick()
        house.later(UNUSED_SECONDS / 2)
    await house.tick()
    if connected == 2:
        assert await house.seat() == house.claim
        return
    assert await house.seat() == ""
    assert house.service.idle
    house.service.on_wanted(ROOM.name)
    assert house.service.idle
    house.later(REST_SECONDS)
    house.service.on_wanted(ROOM.name)
    await eventually(lambda: house.service.rooms == 1)


async def test_a_rooms_own_sfu_keeps_the_seat_for_whoever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch, own=True)
    await house.bus.start("sfu", house.service)
    await house.seated("ann", "bob")
    house.later(2 * UNUSED_SECONDS)
    await house.tick()
    assert await house.seat() == house.claim
    await house.service.stop()


async def test_a_drain_gives_up_the_seats_and_goes_on_forwarding(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    (peer,) = house.plane.peers
    house.service.drain()
    await house.settle()
    assert await house.seat() == ""
    assert house.plane.peers == {peer}
    assert not house.service.idle
    house.service.on_wanted(ROOM.name)
    await house.settle()
    assert house.service.rooms == 0, "another takes it"
    house.plane.forget(peer)
    house.service.disconnected(peer)
    assert house.service.idle


async def test_a_drain_still_cuts_off_who_is_removed(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    await house.offer("bob", 1, audio("0"))
    house.service.drain()
    await house.leave("ann")
    assert len(house.plane.peers) == 1


async def test_no_more_rooms_and_participants_than_the_limits(house: House) -> None:
    await house.seated("ann", "bob", "cid", "dan")
    for name in ("ann", "bob", "cid"):
        await house.offer(name, 1, audio("0"))
    await house.offer("dan", 1, audio("0"))
    assert isinstance(house.said[sid_of("dan")][-1], SfuRefused)
    assert len(house.plane.peers) == 3
    house.service.on_wanted(redis_keys.room("another").name)
    await house.settle()
    assert house.service.rooms == 1


async def test_no_seat_is_taken_before_clients_could_be_told_where_to_go(house: House) -> None:
    house.service.policy = None
    await house.join("ann")
    house.service.on_wanted(ROOM.name)
    assert house.service.idle
