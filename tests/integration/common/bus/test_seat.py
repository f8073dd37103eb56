"""One SFU at a time serves a room, and the room is told who does: the same on both buses."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from callcluster_common import redis_keys
from callcluster_common.bus import SEAT_MS, Bus, Head, Person, Ticket, UnavailableError, make_line
from callcluster_common.bus.memory import MemoryBus
from callcluster_common.bus.redis import RedisBus
from callcluster_common.redis_keys import RoomKeys
from kit.bus_listener import Nobody
from kit.bus_seats import lapse_in_memory, lapse_in_redis
from kit.eventually import eventually
from kit.redis_server import RedisServer

A, B = "a" * 16, "b" * 16
ONE, OTHER = "sfu1.1", "sfu2.1"


class Watcher(Nobody):
    """Keeps what a room is told, and which rooms want an SFU."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.wanted: list[str] = []
        self.wiped = 0

    def on_entry(self, room: str, epoch: str, off: int, line: bytes) -> None:
        self.events.append(json.loads(line.partition(b"\n")[2]))

    def on_wanted(self, room: str) -> None:
        self.wanted.append(room)

    def on_return(self, wiped: bool) -> None:
        self.wiped += wiped

    @property
    def seats(self) -> list[str | None]:
        """Who served the room, one after the other; ``None`` where nobody did."""
        return [event["d"].get("sfu") for event in self.events if event.get("d", {}).get("kind") == "sfu"]


class Call:
    """A room on one bus."""

    def __init__(self, bus: Bus, watcher: Watcher, lapse: Callable[[Bus, RoomKeys], None]) -> None:
        self.bus = bus
        self.watcher = watcher
        self.keys = redis_keys.room(f"room-{secrets.token_hex(8)}")
        self._lapse = lapse

    async def join(self, sid: str = A) -> None:
        line = make_line(Head(f"p.{sid}", sid), b"{}")
        person = Person(f"user-{sid}", f"page-{sid}", "")
        ticket = Ticket(sid, f"p.{sid}", person, b"{}", line, 9, False, "e1", "p.0", 60_000)
        await self.bus.join(self.keys, ticket)

    async def take(self, claim: str) -> bool:
        return await self.bus.take_seat(self.keys, claim, f"{claim}0") is not None

    async def keeps(self, claim: str) -> bool:
        return await self.bus.keep_seats([(self.keys, claim)]) == []

    async def seat(self) -> str:
        state = await self.bus.state(self.keys)
        return state.seat if state else ""

    def lapse(self) -> None:
        """The lease runs out."""
        self._lapse(self.bus, self.keys)

    async def told(self, *seats: str | None) -> None:
        """The room has been told just this."""
        await eventually(lambda: len(self.watcher.seats) >= len(seats))
        assert self.watcher.seats == list(seats)


@asynccontextmanager
async def room_on(
    bus: Bus, lapse: Callable[[Bus, RoomKeys], None], pod: str = "pod"
) -> AsyncIterator[Call]:
    """A new room, which the pod listens to."""
    made = Call(bus, Watcher(), lapse)
    await bus.start(pod, made.watcher)
    try:
        await bus.subscribe(made.keys)
        yield made
    finally:
        await bus.stop()


def in_redis(server: RedisServer, pod: str = "pod") -> AbstractAsyncContextManager[Call]:
    return room_on(RedisBus(server.url), partial(lapse_in_redis, server), pod)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def call(request: pytest.FixtureRequest) -> AsyncIterator[Call]:
    if request.param == "memory":
        made = room_on(MemoryBus(), lapse_in_memory)
    else:
        made = in_redis(request.getfixturevalue("redis_server"))
    async with made as found:
        yield found


@pytest.fixture
def fragile_redis() -> Iterator[RedisServer]:
    """A Redis that a test may kill or empty."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


async def test_a_room_without_members_has_no_seat(call: Call) -> None:
    assert not await call.take(ONE)
    assert not await call.keeps(ONE)
    await call.bus.leave_seat(call.keys, ONE, "x.1")
    await call.bus.clear_seats([call.keys], "x.2")
    await call.told()


async def test_the_room_is_told_who_serves_it_and_so_is_who_asks_for_its_state(call: Call) -> None:
    await call.join()
    state = await call.bus.take_seat(call.keys, ONE, "x.1")
    assert state is not None
    assert state.seat == await call.seat() == ONE
    assert [occupant.sid for occupant in state.occupants] == [A]
    await call.told(ONE)


async def test_who_comes_back_is_told_as_well(call: Call) -> None:
    await call.join()
    await call.take(ONE)
    back = await call.bus.attach(call.keys, A, "p.9", 1, make_line(Head("p.9", A), b"{}"), "e1", 0)
    assert back is not None
    assert back.state.seat == ONE


async def test_a_taken_seat_is_not_given_to_another(call: Call) -> None:
    await call.join()
    assert await call.take(ONE)
    assert not await call.take(OTHER)
    assert not await call.keeps(OTHER)
    assert await call.keeps(ONE)
    await call.told(ONE)


async def test_taking_its_own_seat_again_tells_nobody_anything_new(call: Call) -> None:
    await call.join()
    assert await call.take(ONE)
    assert await call.take(ONE)
    call.lapse()
    assert await call.take(ONE)
    await call.told(ONE)


async def test_a_left_seat_is_free_at_once(call: Call) -> None:
    await call.join()
    await call.take(ONE)
    await call.bus.leave_seat(call.keys, ONE, "x.1")
    assert await call.seat() == ""
    assert not await call.keeps(ONE)
    assert await call.take(OTHER)
    await call.told(ONE, None, OTHER)


async def test_a_late_leave_does_not_unseat_the_successor(call: Call) -> None:
    await call.join()
    await call.take(ONE)
    call.lapse()
    assert await call.take(OTHER)
    await call.bus.leave_seat(call.keys, ONE, "x.1")
    assert await call.keeps(OTHER)
    assert await call.seat() == OTHER
    await call.told(ONE, OTHER)


async def test_a_lease_that_ran_out_is_still_its_holders_until_somebody_else_has_it(call: Call) -> None:
    await call.join()
    await call.take(ONE)
    call.lapse()
    assert await call.keeps(ONE)
    assert not await call.take(OTHER)
    call.lapse()
    await call.bus.clear_seats([call.keys], "x.1")
    assert not await call.keeps(ONE)
    await call.told(ONE, None)


async def test_a_live_seat_is_not_cleared(call: Call) -> None:
    await call.join()
    await call.take(ONE)
    await call.bus.clear_seats([call.keys], "x.1")
    assert await call.keeps(ONE)
    await call.told(ONE)


async def test_a_lapsed_seat_is_cleared_once_however_many_pods_ask(call: Call) -> None:
    await call.join()
    await call.take(ONE)
    call.lapse()
    await asyncio.gather(*(call.bus.clear_seats([call.keys], f"x.{number}") for number in range(10)))
    assert await call.take(OTHER)
    await call.told(ONE, None, OTHER)


async def test_a_seat_outlives_the_end_of_the_call_no_longer_than_its_lease(call: Call) -> None:
    await call.join()
    await call.take(ONE)
    await call.bus.end(call.keys, make_line(Head("x.1"), b"{}"))
    assert await call.keeps(ONE)
    call.lapse()
    await call.join(B)
    await call.bus.clear_seats([call.keys], "x.2")
    await call.told(ONE, None)


async def test_many_seats_are_kept_and_cleared_together(call: Call) -> None:
    rooms = [redis_keys.room(f"{call.keys.name}-{number}") for number in range(3)]
    line = make_line(Head("p.1", A), b"{}")
    for room in rooms:
        person = Person("u", "c", "")
        await call.bus.join(
            room, Ticket(A, "p.1", person, b"{}", line, 9, False, f"e-{room.name}", "p.0", 60_000)
        )
        await call.bus.take_seat(room, ONE, "x.1")
    await call.bus.leave_seat(rooms[1], ONE, "x.2")
    assert await call.bus.keep_seats([(room, ONE) for room in rooms]) == [rooms[1].name]
    assert await call.bus.keep_seats([]) == []


async def test_a_call_for_an_sfu_reaches_who_listens_for_it_and_nobody_else(call: Call) -> None:
    call.bus.want(call.keys)
    await call.bus.listen_for_wanted()
    assert call.watcher.wanted == []
    call.bus.want(call.keys)
    await eventually(lambda: call.watcher.wanted)
    assert call.watcher.wanted == [call.keys.name]
    assert redis_keys.named(call.watcher.wanted[0]) == call.keys


async def test_a_call_for_a_rooms_own_sfu_reaches_only_who_listens_for_that_name(call: Call) -> None:
    await call.bus.listen_for_wanted("r-one")
    other = redis_keys.room("another")
    for own in ("", "r-two", "r-on"):
        call.bus.want(other, own)
    call.bus.want(call.keys, "r-one")
    await eventually(lambda: call.watcher.wanted)
    assert call.watcher.wanted == [call.keys.name]


@pytest.mark.redis
async def test_two_pods_that_race_to_clear_a_seat_tell_the_room_once(redis_server: RedisServer) -> None:
    async with in_redis(redis_server, "pod1") as one, in_redis(redis_server, "pod2") as two:
        two.keys = one.keys
        await two.bus.subscribe(two.keys)
        await one.join()
        for number in range(20):
            assert await one.take(f"sfu.{number}")
            one.lapse()
            await asyncio.gather(
                *(made.bus.clear_seats([made.keys], f"x.{number}") for made in (one, two, one))
            )
        expected = [seat for number in range(20) for seat in (f"sfu.{number}", None)]
        await one.told(*expected)
        await two.told(*expected)


@pytest.mark.redis
async def test_a_lease_in_redis_runs_out_by_itself(redis_server: RedisServer) -> None:
    async with in_redis(redis_server) as made:
        await made.join()
        await made.take(ONE)
        assert SEAT_MS - 1_000 < redis_server.call("PTTL", made.keys.seat) <= SEAT_MS
        redis_server.call("PEXPIRE", made.keys.seat, 1_000)
        assert await made.keeps(ONE)
        assert redis_server.call("PTTL", made.keys.seat) > SEAT_MS - 1_000
        redis_server.call("PEXPIRE", made.keys.seat, 50)
        await eventually(lambda: redis_server.call("EXISTS", made.keys.seat) == 0)
        assert await made.take(OTHER)


@pytest.mark.redis
async def test_one_rooms_failure_lets_no_other_rooms_lease_lapse(redis_server: RedisServer) -> None:
    async with in_redis(redis_server) as made:
        await made.join()
        await made.take(ONE)
        broken = redis_keys.room(f"room-{secrets.token_hex(8)}")
        redis_server.call("SET", broken.meta, "no hash")
        taken = redis_keys.room(f"room-{secrets.token_hex(8)}")
        redis_server.call("PEXPIRE", made.keys.seat, 1_000)
        lost = await made.bus.keep_seats([(broken, ONE), (made.keys, ONE), (taken, ONE)])
        assert lost == [taken.name], "of a room that gives no answer nothing is known"
        assert redis_server.call("PTTL", made.keys.seat) > SEAT_MS - 1_000
        made.lapse()
        await made.bus.clear_seats([broken, made.keys], "x.1")
        assert await made.seat() == ""
        with pytest.raises(UnavailableError):
            await made.bus.keep_seats([(broken, ONE)])


@pytest.mark.redis
async def test_after_a_loss_of_data_a_seat_is_taken_anew_with_the_same_claim(
    fragile_redis: RedisServer,
) -> None:
    async with in_redis(fragile_redis) as made:
        await made.join()
        await made.take(ONE)
        fragile_redis.call("FLUSHALL")
        await eventually(lambda: made.watcher.wiped)
        assert not await made.keeps(ONE)
        assert not await made.take(ONE), "nobody has brought the members back yet"
        await made.join()
        assert await made.take(ONE)
        assert await made.seat() == ONE


@pytest.mark.redis
async def test_calls_for_an_sfu_are_heard_again_after_an_outage(fragile_redis: RedisServer) -> None:
    async with in_redis(fragile_redis) as made:
        await made.bus.listen_for_wanted()
        fragile_redis.kill()
        await eventually(lambda: not made.bus.up)
        with pytest.raises(UnavailableError):
            await made.bus.keep_seats([(made.keys, ONE)])
        fragile_redis.start()
        await eventually(lambda: made.bus.up)
        made.bus.want(made.keys)
        await eventually(lambda: made.watcher.wanted)


@pytest.mark.redis
async def test_a_name_that_no_room_has_is_not_handed_on(redis_server: RedisServer) -> None:
    async with in_redis(redis_server) as made:
        await made.bus.listen_for_wanted()
        for bad in (b"", b"../x", b"a" * 27, b"\xff" * 26, b"a" * 26 + b"\n"):
            redis_server.call("PUBLISH", redis_keys.WANTED, bad)
        made.bus.want(made.keys)
        await eventually(lambda: made.watcher.wanted)
        assert made.watcher.wanted == [made.keys.name]
