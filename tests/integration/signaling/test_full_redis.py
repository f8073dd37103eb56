"""Redis has reached its memory limit: requests are refused, but nobody takes that for an outage."""

import json
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from callcluster_common import redis_keys
from callcluster_common.bus import Head, Person, Ticket, UnavailableError, make_line
from callcluster_common.bus.redis import RedisBus
from callcluster_common.redis_keys import RoomKeys
from kit.bus_listener import Nobody
from kit.eventually import eventually
from kit.redis_server import RedisServer
from kit.sig_client import RequestFailedError, SigClient, token
from kit.signaling_server import SignalingProcess, signaling

pytestmark = pytest.mark.redis
SID = "s" * 16


class SmallRedis(RedisServer):
    """Refuses what could grow its memory while it is full."""

    def __init__(self) -> None:
        super().__init__("--maxmemory-policy", "noeviction")

    def fill(self) -> None:
        """From now on it holds more than it may."""
        self.call("CONFIG", "SET", "maxmemory", "1")

    def make_room(self) -> None:
        """It may hold all it wants."""
        self.call("CONFIG", "SET", "maxmemory", "0")


@pytest.fixture
def redis() -> Iterator[SmallRedis]:
    server = SmallRedis()
    server.start()
    yield server
    server.close()


async def _two_beats(redis: SmallRedis, server: SignalingProcess) -> None:
    """Wait until the server has marked itself as alive twice."""
    serving = json.loads(next(line for line in server.log if '"serving"' in line))
    mark = redis_keys.pod(serving["id"])
    for _ in range(2):
        await eventually(lambda: redis.call("PTTL", mark) < 14_700)
        await eventually(lambda: redis.call("PTTL", mark) > 14_800)


def _at_ease(server: SignalingProcess) -> None:
    assert server.get("/readyz")[0] == 200
    assert server.metric("sig_bus_up") == 1
    assert "Redis is down" not in server.text
    assert "Redis has lost its data" not in server.text


async def test_a_full_redis_refuses_requests_and_is_no_outage(redis: SmallRedis) -> None:
    room = f"room-{secrets.token_hex(6)}"
    with signaling(redis.url) as server:
        a = await SigClient.member(server.url, room)
        b = await SigClient.member(server.url, room)
        redis.fill()
        for number in range(5):
            with pytest.raises(RequestFailedError) as failed:
                await a.request("msg", {"body": "x"}, to="room", id=f"m{number}")
            assert failed.value.code == "unavailable"
            assert failed.value.data["retryable"]
        newcomer = await SigClient.connect(server.url)
        with pytest.raises(RequestFailedError, match="unavailable"):
            await newcomer.say_hello(token())
        # What is kept nowhere goes on.
        await a.request("key.send", {"entries": [{"to": b.sid, "body": "sealed"}]})
        await b.expect(lambda frame: frame["t"] == "key.deliver")
        await _two_beats(redis, server)
        _at_ease(server)
        assert server.text.count("Redis refuses commands") == 1
        redis.make_room()
        await a.request("msg", {"body": "y"}, to="room", id="m0")
        bodies = await b.expect(lambda frame: frame["t"] == "msg")
        assert bodies["d"]["body"] == "y"
        await newcomer.say_hello(token())
        await newcomer.join(room)
        _at_ease(server)
        assert "Traceback" not in server.text


async def test_a_server_that_starts_on_a_full_redis_is_ready(redis: SmallRedis) -> None:
    redis.fill()
    with signaling(redis.url) as server:
        await eventually(lambda: server.get("/readyz")[0] == 200)
        await _two_beats(redis, server)
        _at_ease(server)
        redis.make_room()
        await SigClient.member(server.url, f"room-{secrets.token_hex(6)}")


@pytest.fixture
async def occupied(redis: SmallRedis) -> AsyncIterator[tuple[RedisBus, RoomKeys]]:
    """A bus, and a room with one member."""
    bus = RedisBus(redis.url)
    await bus.start("pod", Nobody())
    room = redis_keys.room("r")
    line = make_line(Head("pod.1", SID), b"{}")
    try:
        await bus.join(
            room, Ticket(SID, "pod.1", Person("u", "c", ""), b"{}", line, 9, False, "e", "pod.2", 1_000)
        )
        yield bus, room
    finally:
        await bus.stop()


async def test_no_member_loses_its_place_while_redis_is_full(
    redis: SmallRedis, occupied: tuple[RedisBus, RoomKeys]
) -> None:
    bus, room = occupied
    # As if its lease had run out long ago.
    redis.call("ZADD", room.leases, 1, SID)
    redis.fill()
    with pytest.raises(UnavailableError):
        await bus.put_session(SID, "secret", b"{}", 0)
    renewal = await bus.renew(room, [(SID, "pod.1")], "pod.3", 1_000)
    assert renewal.lost == []
    assert float(redis.call("ZSCORE", room.leases, SID)) > 1
    assert bus.up
    assert bus.trouble is None


async def test_no_sfu_loses_its_seat_while_redis_is_full(
    redis: SmallRedis, occupied: tuple[RedisBus, RoomKeys]
) -> None:
    bus, room = occupied
    await bus.take_seat(room, "sfu.1", "sfu.2")
    redis.call("PEXPIRE", room.seat, 2_000)
    redis.fill()
    assert await bus.keep_seats([(room, "sfu.1")]) == []
    assert redis.call("PTTL", room.seat) > 2_000
    await bus.leave_seat(room, "sfu.1", "sfu.3")
    with pytest.raises(UnavailableError):
        await bus.take_seat(room, "sfu.1", "sfu.4")
    assert bus.up
