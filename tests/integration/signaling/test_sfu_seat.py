"""Members, two servers and an SFU without media, which meet on a real Redis."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from callcluster_common import redis_keys
from callcluster_common.bus import SEAT_MS
from kit.bus_sfu import TinySfu, tiny_sfu
from kit.eventually import eventually
from kit.redis_server import Monitor, RedisServer
from kit.sig_client import RequestFailedError, SigClient
from kit.signaling_server import SignalingProcess, signaling

pytestmark = pytest.mark.redis
Pods = tuple[SignalingProcess, SignalingProcess]
Frame = dict[str, Any]


@pytest.fixture
async def sfu(redis_server: RedisServer) -> AsyncIterator[TinySfu]:
    async with tiny_sfu(redis_server.url) as made:
        yield made


@pytest.fixture
async def room(tidy: None) -> str:
    return f"room-{secrets.token_hex(6)}"


async def members(pods: Pods, room: str, count: int) -> list[SigClient]:
    """One after the other, on the two servers in turn."""
    return [await SigClient.member(pods[number % 2].url, room) for number in range(count)]


def offer(sfu: TinySfu, seq: int = 1) -> Frame:
    return {"sdp": "offer", "route": f"{sfu.claim}-1", "seq": seq, "wants": {"1": "t7"}}


async def all_heard(sfu: TinySfu) -> None:
    """It has heard every call that was made before."""
    last = redis_keys.room(f"room-{secrets.token_hex(6)}")
    sfu.bus.want(last)
    await eventually(lambda: last.name in sfu.wanted, within=20)


def called(sfu: TinySfu, room: str) -> int:
    return sfu.wanted.count(redis_keys.room(room).name)


async def seated(sfu: TinySfu, *clients: SigClient) -> None:
    """The SFU sits, and everybody has heard of it."""
    await eventually(lambda: sfu.room is not None)
    for client in clients:
        assert (await client.event("sfu"))["d"]["sfu"] == sfu.claim


async def test_two_members_call_for_no_sfu_and_the_third_does(sfu: TinySfu, pods: Pods, room: str) -> None:
    sfu.serves = False
    await members(pods, room, 2)
    await SigClient.member(pods[0].url, f"{room}-other")
    assert called(sfu, room) == 0
    await SigClient.member(pods[0].url, room)
    await eventually(lambda: called(sfu, room), within=20)
    assert pods[0].metric("sig_rooms_without_sfu") >= 1


async def test_a_room_of_two_costs_redis_nothing_for_an_sfu_that_it_does_not_want(
    pods: Pods, room: str, redis_server: RedisServer
) -> None:
    async with Monitor(redis_server.url) as monitor:
        a, _ = await members(pods, room, 2)
        await a.request("msg", {"body": "x"}, to="room")
        beats = [line for line in monitor.lines if '"probe"' in line]
        await eventually(lambda: sum('"probe"' in line for line in monitor.lines) > len(beats) + 8)
    assert [line for line in monitor.lines if ":seat" in line or redis_keys.WANTED in line] == []
    assert any(redis_keys.room(room).events in line for line in monitor.lines), "it was listened to"


async def test_an_sfu_that_starts_late_is_called_again(
    redis_server: RedisServer, pods: Pods, room: str
) -> None:
    clients = await members(pods, room, 3)
    async with tiny_sfu(redis_server.url) as late:
        await eventually(lambda: late.room is not None, within=15)
        await seated(late, *clients)


async def test_offers_reach_the_sfu_and_its_answers_come_back(sfu: TinySfu, pods: Pods, room: str) -> None:
    clients = await members(pods, room, 3)
    await seated(sfu, *clients)
    assert pods[0].metric("sig_rooms_with_sfu") >= 1
    for seq, client in enumerate(clients, 1):
        assert (await client.request("offer", offer(sfu, seq), to="sfu"))["t"] == "ok"
        answer = await client.expect(lambda frame: frame["t"] == "answer")
        assert answer["from"] == "sfu"
        assert "off" not in answer
        assert answer["d"]["seq"] == seq
        assert answer["d"]["published"] == {"0": "t1"}
    await clients[0].request("layout", {"wishes": {"t7": {"highest": 0}, "t8": {"paused": True}}})
    await eventually(lambda: len(sfu.asked) == 4)
    assert [post.sid for post in sfu.asked] == [*(client.sid for client in clients), clients[0].sid]
    assert {post.claim for post in sfu.asked} == {sfu.claim}
    assert {post.room for post in sfu.asked} == {redis_keys.room(room).name}
    assert json.loads(sfu.asked[-1].frame) == {
        "t": "layout",
        "d": {"wishes": {"t7": {"highest": 0}, "t8": {"paused": True}}},
    }


async def test_nothing_of_it_is_kept(
    sfu: TinySfu, pods: Pods, room: str, redis_server: RedisServer
) -> None:
    clients = await members(pods, room, 3)
    await seated(sfu, *clients)
    await clients[0].request("offer", {**offer(sfu), "sdp": "canary-of-the-offer"}, to="sfu")
    await clients[0].expect(lambda frame: frame["t"] == "answer")
    entries = redis_server.call("XRANGE", redis_keys.room(room).events, "-", "+")
    assert b"canary-of-the-offer" not in repr(entries).encode()


async def test_newcomers_and_returning_members_learn_who_serves_the_room(
    sfu: TinySfu, pods: Pods, room: str
) -> None:
    clients = await members(pods, room, 3)
    await seated(sfu, *clients)
    newcomer = await SigClient.hello(pods[1].url)
    joined = await newcomer.join(room)
    assert joined["d"]["snapshot"]["sfu"] == sfu.claim
    newcomer.abort()
    newcomer.epoch = "long-ago"
    back = await newcomer.resume_on(pods[0].url)
    assert back.resumed["snapshot"]["sfu"] == sfu.claim


async def test_what_the_sfu_says_before_the_newcomer_is_in_comes_after_the_answer_to_its_join(
    sfu: TinySfu, pods: Pods, room: str
) -> None:
    clients = await members(pods, room, 3)
    await seated(sfu, *clients)
    assert sfu.room is not None
    newcomer = await SigClient.hello(pods[0].url)
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    sfu.on_entry = lambda room, epoch, off, line: greet(line)  # type: ignore[method-assign]

    def greet(line: bytes) -> None:
        head, frame = (json.loads(part) for part in line.split(b"\n", 1))
        if frame["d"].get("sid") == newcomer.sid and frame["d"]["kind"] == "joined":
            tracks = {"route": f"{sfu.claim}-9", "rev": 1, "tracks": []}
            sfu.say(head[0], newcomer.sid, {"t": "sfu", "d": tracks})
            heard.put_nowait((head[0], frame["d"]["sid"]))

    await sfu.bus.subscribe(sfu.room)
    await newcomer.join(room)
    await heard.get()
    frame = await newcomer.expect(lambda frame: frame["t"] == "sfu")
    assert frame["d"]["route"] == f"{sfu.claim}-9"


async def test_frames_under_another_claim_or_of_another_kind_are_dropped(
    sfu: TinySfu, pods: Pods, room: str
) -> None:
    clients = await members(pods, room, 3)
    await seated(sfu, *clients)
    await clients[0].request("offer", offer(sfu), to="sfu")
    await clients[0].expect(lambda frame: frame["t"] == "answer")
    socket, sid = sfu.asked[0].from_claim, clients[0].sid
    tracks = {"t": "sfu", "d": {"route": "r1", "rev": 1, "tracks": []}}
    for claim in (f"{sfu.claim}1", "somebody.1", "x"):
        sfu.say(socket, sid, tracks, claim)
    for forged in (
        {"t": "answer", "from": "sfu", "d": {"sdp": "no route"}},
        {"t": "answer", "from": clients[1].sid, "d": {"sdp": "x", "route": "r", "seq": 1}},
        {"t": "key.deliver", "from": clients[1].sid, "d": {"body": "x"}},
        {"t": "ev", "d": {"kind": "ended"}},
        {"t": "ok", "d": {}},
        {**tracks, "off": 1_000_000},
        {**tracks, "re": "c1"},
    ):
        sfu.say(socket, sid, forged)
    sfu.say(socket, sid, {"t": "sfu.refused", "d": {"route": "r1", "seq": 1, "reason": "full"}})
    refused = await clients[0].expect(lambda frame: frame["t"] == "sfu.refused")
    assert refused["d"] == {"route": "r1", "seq": 1, "reason": "full"}
    assert [frame["t"] for frame in clients[0].frames if frame["t"] != "ev"] == []


async def test_without_an_sfu_an_offer_to_it_fails_and_may_be_repeated(pods: Pods, room: str) -> None:
    (client,) = await members(pods, room, 1)
    data = {"sdp": "x", "route": "r", "seq": 1, "wants": {}}
    for _ in range(2):
        with pytest.raises(RequestFailedError, match="no_sfu") as failed:
            await client.request("offer", data, to="sfu", id="o1")
        assert failed.value.data["retryable"]
    with pytest.raises(RequestFailedError, match="no_sfu"):
        await client.request("layout", {"wishes": {}})


async def test_an_sfu_that_dies_is_missed_within_two_seconds_of_its_lease_and_called_again(
    sfu: TinySfu, pods: Pods, room: str, redis_server: RedisServer
) -> None:
    clients = await members(pods, room, 3)
    await seated(sfu, *clients)
    assert await sfu.keep()
    first, calls = sfu.claim, called(sfu, room)
    lapses = time.monotonic() + SEAT_MS / 1000
    gone = await clients[0].event("sfu", within=SEAT_MS / 1000 + 2)
    assert "sfu" not in gone["d"]
    assert time.monotonic() > lapses - 0.5
    for client in clients[1:]:
        assert "sfu" not in (await client.event("sfu"))["d"]
    assert not await sfu.keep()
    await eventually(lambda: called(sfu, room) > calls, within=20)
    sfu.room = None
    await eventually(lambda: sfu.room is not None, within=15)
    for client in clients:
        event = await client.event("sfu")
        assert event["d"]["sfu"] == sfu.claim != first
        assert not [frame for frame in client.frames if frame["d"].get("kind") == "sfu"], "told once"


async def test_a_seat_that_is_kept_stays(sfu: TinySfu, pods: Pods, room: str) -> None:
    clients = await members(pods, room, 3)
    await seated(sfu, *clients)
    lapses = time.monotonic() + SEAT_MS / 1000
    while time.monotonic() < lapses + 2:
        await asyncio.sleep(1)  # as an SFU does; what is waited for is that nothing happens
        assert await sfu.keep()
    assert not [frame for frame in clients[0].frames if frame["d"].get("kind") == "sfu"]


async def test_a_call_that_had_an_sfu_wants_one_again_as_long_as_two_are_left(
    sfu: TinySfu, pods: Pods, room: str
) -> None:
    clients = await members(pods, room, 3)
    await seated(sfu, *clients)
    await clients[2].request("leave")
    await clients[0].event("left", clients[2].sid)
    calls = called(sfu, room)
    await sfu.leave()
    for client in clients[:2]:
        assert "sfu" not in (await client.event("sfu"))["d"]
    await eventually(lambda: called(sfu, room) > calls)
    await seated(sfu, *clients[:2])


async def test_after_a_loss_of_data_the_sfu_that_was_there_is_back_before_another_is_called() -> None:
    redis = RedisServer()
    redis.start()
    try:
        with signaling(redis.url) as one, signaling(redis.url) as two:
            async with tiny_sfu(redis.url) as serving, tiny_sfu(redis.url) as other:
                other.serves = False
                clients = await members((one, two), "room", 3)
                await seated(serving, *clients)
                await all_heard(other)
                calls = called(other, "room")
                redis.call("FLUSHALL")
                for client in clients:
                    snapshot = await client.expect(lambda frame: frame["t"] == "snapshot")
                    assert snapshot["d"]["sfu"] == ""
                assert not await serving.keep()
                assert await serving.take_again()
                for client in clients:
                    assert (await client.event("sfu"))["d"]["sfu"] == serving.claim
                await all_heard(other)
                assert called(other, "room") == calls
    finally:
        redis.close()
