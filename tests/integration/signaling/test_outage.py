"""Redis goes away, comes back, and loses its data."""

import asyncio
import secrets
from collections.abc import Iterator

import pytest
from callcluster_common import redis_keys
from callcluster_common.bus import UnavailableError
from callcluster_common.bus.redis import RedisBus
from callcluster_common.bus.wire import Wire, WireError
from kit.bus_listener import Nobody
from kit.eventually import eventually
from kit.redis_server import RedisServer
from kit.sig_client import RequestFailedError, SigClient, token
from kit.signaling_server import SignalingProcess, signaling

pytestmark = pytest.mark.redis
Pods = tuple[SignalingProcess, SignalingProcess]


def new_room() -> str:
    return f"room-{secrets.token_hex(6)}"


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis that a test may kill."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def pair(redis: RedisServer) -> Iterator[Pods]:
    with signaling(redis.url) as one, signaling(redis.url) as two:
        yield one, two
        assert one.running()
        assert two.running()
        assert "Traceback" not in one.text + two.text


async def _members(pair: Pods, room: str) -> tuple[SigClient, SigClient]:
    """One member on each server; the first has heard of the second."""
    a = await SigClient.member(pair[0].url, room)
    b = await SigClient.member(pair[1].url, room)
    await a.event("joined", b.sid)
    return a, b


async def _snapshot(client: SigClient, *sids: str) -> None:
    """The client is told the whole roster, nobody missing."""
    frame = await client.expect(lambda frame: frame["t"] == "snapshot", within=15)
    assert {member["sid"] for member in frame["d"]["members"]} == set(sids)
    assert not any(member.get("reconnecting") for member in frame["d"]["members"])


async def test_a_wipe_costs_no_session_and_no_message(redis: RedisServer, pair: Pods) -> None:
    room = new_room()
    a, b = await _members(pair, room)
    told: list[str] = []
    wiped = asyncio.Event()

    async def talk() -> None:
        number = 0
        while not wiped.is_set() or number < 40:
            await a.request("msg", {"body": str(number)}, to="room")
            told.append(str(number))
            number += 1
            await asyncio.sleep(0.04)

    talker = asyncio.create_task(talk())
    await eventually(lambda: len(told) > 5)
    redis.call("FLUSHALL")
    await _snapshot(a, a.sid, b.sid)
    await _snapshot(b, a.sid, b.sid)
    wiped.set()
    await talker
    await eventually(lambda: len([1 for frame in b.frames if frame["t"] == "msg"]) >= len(told))
    assert [frame["d"]["body"] for frame in b.frames if frame["t"] == "msg"] == told
    assert a.epoch == b.epoch
    back = await b.resume_on(pair[0].url)
    assert back.resumed["recovered"]
    await back.request("offer", {"sdp": "v=0"}, to={"sid": a.sid})
    await a.expect(lambda frame: frame["t"] == "offer")
    await a.request("key.send", {"entries": [{"to": b.sid, "body": "sealed"}]})
    await back.expect(lambda frame: frame["t"] == "key.deliver")
    assert not [frame for frame in a.frames if frame["d"].get("kind") == "left"]


async def test_a_quiet_room_is_rebuilt_after_a_wipe_too(redis: RedisServer, pair: Pods) -> None:
    room = new_room()
    a, b = await _members(pair, room)
    redis.call("FLUSHALL")
    for client in (a, b):
        await _snapshot(client, a.sid, b.sid)
    c = await SigClient.hello(pair[0].url)
    joined = await c.join(room)
    assert {one["sid"] for one in joined["d"]["snapshot"]["members"]} == {a.sid, b.sid, c.sid}


async def test_changes_of_the_roster_that_a_wipe_undid_are_all_made_again(
    redis: RedisServer, pair: Pods
) -> None:
    room = new_room()
    a, b = await _members(pair, room)
    bundle = {"suite": "kx1", "ik": "A" * 43, "ek": "B" * 43, "nbf": 1, "exp": 2, "sig": "C" * 86}
    redis.call("FLUSHALL")
    await a.send({"t": "bundle.refresh", "id": "b", "d": {"bundle": bundle}})
    await a.send({"t": "state", "id": "s", "d": {"audio": True}})
    for request in ("b", "s"):
        reply = await a.expect(lambda frame, request=request: frame.get("re") == request)
        assert reply["t"] == "ok"
    await b.event("updated", a.sid)
    joined = await (await SigClient.hello(pair[1].url)).join(room)
    (line,) = [member for member in joined["d"]["snapshot"]["members"] if member["sid"] == a.sid]
    assert (line["bundle"], line["state"]["audio"]) == (bundle, True)


async def test_who_resumes_during_a_wipe_is_asked_to_try_again_and_gets_in(
    redis: RedisServer, pair: Pods
) -> None:
    room = new_room()
    a = await SigClient.member(pair[0].url, room)
    b = await SigClient.member(pair[1].url, room)
    redis.call("FLUSHALL")

    async def resumed() -> SigClient | None:
        try:
            return await b.resume_on(pair[0].url, attempt=b.attempt + 1)
        except RequestFailedError as error:
            if error.code != "unavailable":
                raise
            return None

    back = await eventually(resumed, every=0.3, within=30)
    await back.request("offer", {"sdp": "v=0"}, to={"sid": a.sid})
    await a.expect(lambda frame: frame["t"] == "offer")


async def test_bans_and_sessions_aside_nothing_needs_redis_while_it_is_away(
    redis: RedisServer, pair: Pods
) -> None:
    room = new_room()
    a = await SigClient.member(pair[0].url, room)
    b = await SigClient.member(pair[0].url, room)
    redis.kill()
    await eventually(lambda: pair[0].metric("sig_bus_up") == 0)
    await a.send({"t": "offer", "id": "o1", "to": {"sid": b.sid}, "d": {"sdp": "v=0"}})
    offer = await b.expect(lambda frame: frame["t"] == "offer", within=2)
    assert "off" not in offer
    await a.request("key.send", {"entries": [{"to": b.sid, "body": "sealed"}]})
    await b.expect(lambda frame: frame["t"] == "key.deliver", within=2)
    await a.request("ping", {"ts": 1})
    assert pair[0].get("/healthz")[0] == 200
    assert pair[0].get("/readyz")[0] == 200
    redis.start()
    await a.expect(lambda frame: frame.get("re") == "o1", within=10)
    await _snapshot(b, a.sid, b.sid)
    await a.request("msg", {"body": "and on"}, to="room")
    await b.expect(lambda frame: frame["t"] == "msg")
    assert not [frame for frame in b.frames if frame["t"] == "offer"]


async def test_messages_to_another_server_wait_for_a_short_outage(redis: RedisServer, pair: Pods) -> None:
    room = new_room()
    a, b = await _members(pair, room)
    redis.kill()
    await eventually(lambda: pair[0].metric("sig_bus_up") == 0)
    for number in range(5):
        await a.send({"t": "ice", "id": f"i{number}", "to": {"sid": b.sid}, "d": {"end": True}})
    await a.send({"t": "msg", "id": "m", "to": "room", "d": {"body": "x"}})
    await eventually(lambda: pair[0].metric("sig_bus_queue") == 6)
    redis.start()
    for number in range(5):
        assert (await a.expect(lambda frame, n=number: frame.get("re") == f"i{n}"))["t"] == "ok"
    kinds = [(await b.expect(lambda frame: frame["t"] in ("ice", "msg"), within=15))["t"] for _ in range(6)]
    assert kinds == ["ice"] * 5 + ["msg"]


async def test_a_long_outage_is_told_and_new_members_are_asked_to_wait(
    redis: RedisServer, pair: Pods
) -> None:
    a, b = await _members(pair, new_room())
    redis.kill()
    await eventually(lambda: pair[0].metric("sig_bus_up") == 0)
    with pytest.raises(RequestFailedError) as failed:
        await a.request("offer", {"sdp": "v=0"}, to={"sid": b.sid}, id="o1")
    assert failed.value.code == "unavailable"
    assert failed.value.data["retryable"]
    assert failed.value.data["retry_after_ms"] > 0
    newcomer = await SigClient.connect(pair[0].url)
    with pytest.raises(RequestFailedError, match="unavailable"):
        await newcomer.say_hello(token())
    redis.start()
    await eventually(lambda: pair[0].metric("sig_bus_up") == 1)
    await a.request("offer", {"sdp": "v=0"}, to={"sid": b.sid}, id="o1")
    await b.expect(lambda frame: frame["t"] == "offer", within=15)


async def test_a_restart_that_keeps_the_data_loses_nothing(redis: RedisServer, pair: Pods) -> None:
    room = new_room()
    a, b = await _members(pair, room)
    await a.request("msg", {"body": "1"}, to="room")
    redis.dump()
    redis.kill()
    redis.start()
    await a.request("msg", {"body": "2"}, to="room")
    bodies = [(await b.expect(lambda frame: frame["t"] == "msg", within=15))["d"]["body"] for _ in range(2)]
    assert bodies == ["1", "2"]
    assert not [frame for frame in a.frames + b.frames if frame["t"] == "snapshot"]
    back = await b.resume_on(pair[0].url)
    assert back.resumed["recovered"]


async def test_a_redis_that_came_back_with_older_data_begins_an_epoch(
    redis: RedisServer, pair: Pods
) -> None:
    room = new_room()
    a, b = await _members(pair, room)
    redis.dump()
    for number in range(10):
        await a.request("msg", {"body": str(number)}, to="room")
    epoch = a.epoch
    redis.kill()
    redis.start()
    await _snapshot(a, a.sid, b.sid)
    await _snapshot(b, a.sid, b.sid)
    assert a.epoch == b.epoch != epoch
    await b.request("msg", {"body": "on"}, to="room")
    await a.expect(lambda frame: frame["t"] == "msg" and frame["d"]["body"] == "on")


async def test_scripts_that_were_flushed_are_loaded_again(redis: RedisServer, pair: Pods) -> None:
    room = new_room()
    a, b = await _members(pair, room)
    redis.call("SCRIPT", "FLUSH")
    await a.request("msg", {"body": "x"}, to="room")
    await b.expect(lambda frame: frame["t"] == "msg", within=15)
    await SigClient.member(pair[1].url, room)


async def test_who_knows_the_lost_epoch_alone_gets_what_was_said_since(
    redis: RedisServer, pair: Pods
) -> None:
    room = new_room()
    a, b = await _members(pair, room)
    epoch, off = b.epoch, b.off
    redis.call("FLUSHALL")
    for client in (a, b):
        await _snapshot(client, a.sid, b.sid)
    for number in range(3):
        await a.request("msg", {"body": str(number)}, to="room")
    for _ in range(3):
        await b.expect(lambda frame: frame["t"] == "msg")
    # As if nothing had reached b since the wipe.
    b.epoch, b.off = epoch, off
    back = await b.resume_on(pair[0].url)
    assert (back.resumed["recovered"], back.resumed["missed"]) == (True, 3)
    assert back.epoch == a.epoch != epoch
    # As if b had been behind already.
    back.epoch, back.off = epoch, off - 1
    again = await back.resume_on(pair[1].url)
    assert not again.resumed["recovered"]
    assert {one["sid"] for one in again.resumed["snapshot"]["members"]} == {a.sid, b.sid}
    for client in (back, again):
        bodies = [(await client.expect(lambda frame: frame["t"] == "msg"))["d"]["body"] for _ in range(3)]
        assert bodies == ["0", "1", "2"]


async def test_a_session_record_that_no_pod_wrote_is_as_good_as_none(
    redis: RedisServer, pair: Pods
) -> None:
    a = await SigClient.member(pair[0].url, new_room())
    redis.call("HSET", redis_keys.session(a.sid), "r", "rubbish")
    with pytest.raises(RequestFailedError, match="resume_failed") as failed:
        await a.resume_on(pair[1].url)
    assert failed.value.data["next"] == "rejoin"


async def test_a_bus_that_nothing_looks_after_any_more_says_so(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = RedisBus(redis.url)
    await bus.start("pod", Nobody())
    try:
        assert not bus.broken

        async def wrong(wire: Wire) -> bool:
            raise ZeroDivisionError

        monkeypatch.setattr(bus._connection, "_beat", wrong)
        await eventually(lambda: bus.broken)
    finally:
        await bus.stop()


async def test_a_resume_that_redis_breaks_off_can_be_tried_again(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = RedisBus(redis.url)
    await bus.start("pod", Nobody())
    try:

        async def broken(wire: Wire) -> bool:
            raise WireError("the connection broke")

        monkeypatch.setattr(bus._connection, "_beat", broken)
        with pytest.raises(UnavailableError):
            await bus.take_session("s" * 16, "secret", 1)
    finally:
        await bus.stop()
