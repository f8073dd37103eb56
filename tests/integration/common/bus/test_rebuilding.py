"""A room that Redis lost comes back from its pods, and nobody whom it had let go of comes with it."""

import secrets
from collections.abc import AsyncIterator

import pytest
from callcluster_common import redis_keys
from callcluster_common.bus import HISTORY_BYTES, Head, Occupant, Person, RoomState, Ticket, make_line
from callcluster_common.bus.redis import RedisBus
from callcluster_common.redis_keys import RoomKeys
from kit.bus_listener import Nobody
from kit.redis_server import RedisServer

pytestmark = pytest.mark.redis

A, B, M = "a" * 16, "b" * 16, "m" * 16


def person(sid: str) -> Person:
    return Person(f"user-{sid[:1]}", f"page-{sid[:1]}", f"jti-{sid[:1]}")


def line(sid: str, size: int = 2) -> bytes:
    return make_line(Head(f"p.{secrets.token_hex(4)}", sid), b"{" + b" " * (size - 2) + b"}")


def known(epoch: str, *sids: str) -> RoomState:
    """What a pod knows."""
    occupants = [Occupant(sid, b'{"sid":"%b"}' % sid.encode(), f"p.{sid}") for sid in sids]
    return RoomState(epoch, 40, False, occupants)


@pytest.fixture
def room() -> RoomKeys:
    return redis_keys.room(f"room-{secrets.token_hex(8)}")


@pytest.fixture
async def bus(redis_server: RedisServer) -> AsyncIterator[RedisBus]:
    made = RedisBus(redis_server.url)
    await made.start("p", Nobody())
    yield made
    await made.stop()


async def restore(
    bus: RedisBus, room: RoomKeys, epoch: str, state: RoomState, own: str, *kicked: str
) -> set[str]:
    people = {sid: person(sid) for sid in own.split()}
    found, _ = await bus.restore(room, state, people, kicked, epoch, 60_000)
    return {occupant.sid for occupant in found.occupants}


async def join(bus: RedisBus, room: RoomKeys, sid: str, epoch: str) -> RoomState:
    ticket = Ticket(sid, f"p.{sid}", person(sid), b"{}", line(sid), 9, True, epoch, "p.0", 60_000)
    return await bus.join(room, ticket)


async def test_pods_bring_their_own_members_one_after_the_other(bus: RedisBus, room: RoomKeys) -> None:
    assert await restore(bus, room, "e2", known("e1", A), A) == {A}
    assert await restore(bus, room, "e3", known("e1", B), B) == {A, B}


async def test_a_kicked_member_is_not_brought_back_by_a_pod_that_did_not_hear_of_it(
    bus: RedisBus, room: RoomKeys
) -> None:
    assert await restore(bus, room, "e2", known("e1", A, M), A) == {A, M}
    assert await bus.remove(room, M, "", line(A), 0)
    assert await restore(bus, room, "e3", known("e1", M, B), f"{M} {B}") == {A, B}


async def test_who_was_kicked_before_the_loss_stays_out_if_any_pod_knows(
    bus: RedisBus, room: RoomKeys
) -> None:
    assert await restore(bus, room, "e2", known("e1", A), A, M) == {A}
    assert await restore(bus, room, "e3", known("e1", M), M) == {A}


async def test_a_banned_user_is_not_brought_back_under_another_session(
    bus: RedisBus, room: RoomKeys
) -> None:
    await restore(bus, room, "e2", known("e1", A, M), f"{A} {M}")
    assert await bus.remove(room, M, "", line(A), 60_000)
    other = M[:-1] + "x"
    assert await restore(bus, room, "e3", known("e1", other), other) == {A}


async def test_what_is_blocked_of_a_member_is_blocked_after_the_loss_as_well(
    bus: RedisBus, room: RoomKeys
) -> None:
    blocked = {A: "audio video", B: "video", M: ""}
    state = known("e1", A, M)
    state.occupants[:] = [one._replace(blocked=blocked[one.sid]) for one in state.occupants]
    late = known("e1", B)
    late.occupants[:] = [one._replace(blocked=blocked[one.sid]) for one in late.occupants]
    await restore(bus, room, "e2", state, A)
    _, entries = await bus.restore(room, late, {B: person(B)}, (), "e3", 60_000)
    found = await bus.state(room)
    assert found is not None
    assert {one.sid: one.blocked for one in found.occupants} == blocked
    assert b'"kind":"blocked","sid":"%b","media":"video","blocked":true' % B.encode() in entries[-1].line


async def test_an_ended_call_is_not_revived(bus: RedisBus, room: RoomKeys) -> None:
    await restore(bus, room, "e2", known("e1", A), A)
    assert await bus.end(room, line(A))
    assert await restore(bus, room, "e3", known("e1", B), B) == set()


async def test_members_of_an_old_call_do_not_turn_up_in_a_new_one(bus: RedisBus, room: RoomKeys) -> None:
    await join(bus, room, A, "e5")
    assert await restore(bus, room, "e6", known("e1", B), B) == {A}


async def test_a_removed_member_is_not_brought_back_where_nothing_was_lost(
    bus: RedisBus, room: RoomKeys
) -> None:
    state = await join(bus, room, A, "e1")
    await join(bus, room, B, "e1")
    await bus.remove(room, B, f"p.{B}", line(B), 0)
    now = await bus.state(room)
    assert now is not None
    assert await restore(bus, room, "e2", known(state.epoch, A, B)._replace(off=now.off), f"{A} {B}") == {A}


async def test_a_refused_join_leaves_nothing_behind(
    bus: RedisBus, room: RoomKeys, redis_server: RedisServer
) -> None:
    await join(bus, room, A, "e1")
    assert await bus.remove(room, A, "", line(A), 60_000)
    redis_server.call("DEL", *[key for key in room.keys if key != room.bans])
    with pytest.raises(Exception, match="banned"):
        await join(bus, room, A, "e2")
    assert redis_server.call("EXISTS", *room.keys) == 1
    assert redis_server.call("PTTL", room.bans) > 0


@pytest.mark.parametrize(
    "sizes",
    [[60_000] * 200, [300] * 900 + [32_768] * 340],
    ids=["large entries", "large entries after many small ones"],
)
async def test_the_stream_of_a_room_is_bounded_in_bytes(
    bus: RedisBus, room: RoomKeys, redis_server: RedisServer, sizes: list[int]
) -> None:
    await join(bus, room, A, "e1")
    offsets: list[int] = []
    for size in sizes:
        entry = line(A, size)
        head = Head("p.x", A)
        bus.publish(room, "e1", f"p.{A}", head, entry, b"", offsets.append)
    await bus.state(room)
    top = 1 + len(sizes)
    assert offsets == list(range(2, top + 1))
    held = redis_server.call("XRANGE", room.events, "-", "+")
    assert sum(len(fields[b"e"]) for _, fields in held) <= HISTORY_BYTES + 15 * (sizes[-1] + 100)
    assert held[-1][0] == b"%d-0" % top
    assert (await bus.history(room, top - 11)).entries is not None
    assert (await bus.history(room, 1)).entries is None
