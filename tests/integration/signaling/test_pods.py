"""Several servers on one Redis."""

import asyncio
import secrets

import pytest
from kit.eventually import eventually
from kit.redis_server import Monitor, RedisServer
from kit.sig_client import MODERATOR, RequestFailedError, SigClient, token
from kit.signaling_server import SignalingProcess, signaling

pytestmark = pytest.mark.redis
Pods = tuple[SignalingProcess, SignalingProcess]


def new_room() -> str:
    return f"room-{secrets.token_hex(6)}"


async def test_members_on_two_servers_set_up_a_call(pods: Pods) -> None:
    room = new_room()
    a = await SigClient.member(pods[0].url, room)
    b = await SigClient.member(pods[1].url, room)
    await a.event("joined", b.sid)
    await a.request("offer", {"sdp": "v=0"}, to={"sid": b.sid})
    assert (await b.expect(lambda frame: frame["t"] == "offer"))["from"] == a.sid
    await b.request("answer", {"sdp": "v=0"}, to={"sid": a.sid})
    await a.expect(lambda frame: frame["t"] == "answer")
    await a.request("key.send", {"entries": [{"to": b.sid, "body": "sealed"}]})
    assert (await b.expect(lambda frame: frame["t"] == "key.deliver"))["d"] == {"body": "sealed"}
    await b.request("key.ack", {"kid": 1}, to={"sid": a.sid})
    await a.expect(lambda frame: frame["t"] == "key.ack")


async def test_moderation_reaches_members_on_another_server(pods: Pods) -> None:
    room = new_room()
    moderator = await SigClient.member(pods[0].url, room, token(room, g=MODERATOR))
    bearer = token(room)
    member = await SigClient.member(pods[1].url, room, bearer)
    await moderator.event("joined", member.sid)
    await moderator.request("mod.mute", {"sid": member.sid, "kind": "video"})
    await member.expect(lambda frame: frame["t"] == "mute.request")
    await moderator.request("mod.kick", {"sid": member.sid, "ban_s": 60})
    assert await member.closes() == 4502
    with pytest.raises(RequestFailedError, match="banned"):
        await SigClient.member(pods[1].url, room, bearer)


async def test_all_servers_agree_on_the_order_under_load(pods: Pods) -> None:
    room = new_room()
    members = [await SigClient.member(pods[number % 2].url, room) for number in range(6)]

    async def talk(member: SigClient) -> None:
        for number in range(15):
            await member.send({"t": "msg", "to": "room", "d": {"body": f"{member.sid} {number}"}})
            await asyncio.sleep(0.03)

    await asyncio.gather(*(talk(member) for member in members))
    order: dict[int, str] = {}
    for member in members:
        for _ in range(15 * 5):
            frame = await member.expect(lambda frame: frame["t"] == "msg")
            assert order.setdefault(frame["off"], frame["d"]["body"]) == frame["d"]["body"]
    assert len(order) == 90


async def test_a_session_moves_to_another_server_without_a_loss(pods: Pods) -> None:
    room = new_room()
    a = await SigClient.member(pods[0].url, room)
    b = await SigClient.member(pods[0].url, room)
    talking = True

    async def talk() -> int:
        number = 0
        while talking:
            await a.request("msg", {"body": str(number)}, to="room")
            number += 1
            await asyncio.sleep(0.04)
        return number

    talker = asyncio.create_task(talk())
    sockets = [b]
    for turn in range(4):
        sockets.append(await sockets[-1].resume_on(pods[(turn + 1) % 2].url))
        assert sockets[-1].resumed["recovered"]
        assert await sockets[-2].closes() == 4005
    talking = False
    said = await talker
    await a.request("msg", {"body": "end"}, to="room")
    await sockets[-1].expect(lambda frame: frame["t"] == "msg" and frame["d"]["body"] == "end")
    # While the new socket takes over, a frame may come on both: the offset tells.
    heard = {f["off"]: f["d"]["body"] for one in sockets for f in one.frames if f["t"] == "msg"}
    assert [heard[off] for off in sorted(heard)] == [str(number) for number in range(said)]


async def test_of_two_sockets_on_two_servers_the_newest_attempt_wins(pods: Pods) -> None:
    room = new_room()
    witness = await SigClient.member(pods[0].url, room)
    member = await SigClient.member(pods[0].url, room)
    results = await asyncio.gather(
        *(member.resume_on(pods[number % 2].url, attempt=10 + number) for number in range(6)),
        return_exceptions=True,
    )
    clients = [one for one in results if isinstance(one, SigClient)]
    assert clients
    newest = max(clients, key=lambda client: client.attempt)
    assert newest.attempt == 15
    for client in [member, *clients]:
        if client is not newest:
            assert await client.closes() == 4005
    await newest.request("msg", {"body": "still here"}, to="room")
    await witness.expect(lambda frame: frame["t"] == "msg")
    assert not [frame for frame in witness.frames if frame["d"].get("kind") == "left"]


async def test_a_server_killed_at_once_takes_no_session_with_it(redis_server: RedisServer) -> None:
    room = new_room()
    with signaling(redis_server.url) as stays, signaling(redis_server.url) as dies:
        a = await SigClient.member(stays.url, room)
        b = await SigClient.member(dies.url, room)
        await b.request("msg", {"body": "before"}, to="room", id="m1")
        dies.kill()
        assert await b.closes() == 1006
        for number in range(3):
            await a.request("offer", {"sdp": f"v={number}"}, to={"sid": b.sid})
        back = await b.resume_on(stays.url)
        assert back.resumed["recovered"]
        offers = [(await back.expect(lambda frame: frame["t"] == "offer"))["d"]["sdp"] for _ in range(3)]
        assert offers == ["v=0", "v=1", "v=2"]
        await back.request("msg", {"body": "before"}, to="room", id="m1")
        await back.request("msg", {"body": "after"}, to="room")
        bodies = [(await a.expect(lambda frame: frame["t"] == "msg"))["d"]["body"] for _ in range(2)]
        assert bodies == ["before", "after"]
        await a.request("key.send", {"entries": [{"to": b.sid, "body": "sealed"}]})
        await back.expect(lambda frame: frame["t"] == "key.deliver")
        assert not [frame for frame in a.frames if frame["d"].get("kind") == "left"]


@pytest.mark.timeout(120)
async def test_members_of_a_dead_server_are_let_go_by_exactly_one_event_each(
    redis_server: RedisServer,
) -> None:
    room = new_room()
    short = {"RESUME_WINDOW_SECONDS": "1"}
    with (
        signaling(redis_server.url, **short) as one,
        signaling(redis_server.url, **short) as two,
        signaling(redis_server.url, **short) as dies,
    ):
        witnesses = [await SigClient.member(server.url, room) for server in (one, two, one, two)]
        gone = await SigClient.member(dies.url, room)
        for witness in witnesses:
            await witness.event("joined", gone.sid)
        dies.kill()
        for key in redis_server.call("KEYS", "sig:*:lease"):
            redis_server.call("ZADD", key, "XX", "1", gone.sid)  # as 30 s later
        for witness in witnesses:
            await witness.event("reconnecting", gone.sid, within=25)
        for witness in witnesses:
            assert (await witness.event("left", gone.sid, within=25))["d"]["reason"] == "timeout"
            await witness.request("ping", {"ts": 1})
            assert not [frame for frame in witness.frames if frame["d"].get("sid") == gone.sid]
        with pytest.raises(RequestFailedError) as failed:
            await gone.resume_on(one.url)
        assert failed.value.data["next"] == "rejoin"


async def test_sealed_keys_are_never_stored(redis_server: RedisServer) -> None:
    room = new_room()
    canary = f"canary{secrets.token_hex(16)}"
    name = f"name{secrets.token_hex(8)}"
    with signaling(redis_server.url, LOG_LEVEL="debug") as one, signaling(redis_server.url) as two:
        async with Monitor(redis_server.url) as monitor:
            bearer = token(room, sub=name, jti=name)
            a = await SigClient.member(one.url, room, bearer)
            b = await SigClient.member(two.url, room, token(room, sub=name + "b"))
            await a.event("joined", b.sid)
            for sender, receiver in ((a, b), (b, a)):
                await sender.request("key.send", {"entries": [{"to": receiver.sid, "body": canary}]})
                await receiver.expect(lambda frame: frame["t"] == "key.deliver")
            dump = redis_server.dump()
            b.abort()
            back = await b.resume_on(one.url)
            assert not [frame for frame in back.frames if frame["t"].startswith("key.")]
        seen = [line for line in monitor.lines if canary in line]
        assert len(seen) == 2
        assert all('"PUBLISH" "sig:pod:' in line for line in seen)
        everything = "".join(monitor.lines)
        for secret in (name, bearer, a.resume_token, a.resume_token.partition(".")[2]):
            assert secret not in everything
            assert secret.encode() not in dump
        assert canary.encode() not in dump
        for server in (one, two):
            status, metrics = server.get("/metrics")
            assert status == 200
            for secret in (canary, name, room, a.resume_token, bearer, "127.0.0.1"):
                assert secret not in server.text
                assert secret not in metrics


async def test_a_room_leaves_nothing_behind_but_what_expires(pods: Pods, redis_server: RedisServer) -> None:
    room = new_room()
    a = await SigClient.member(pods[0].url, room)
    await a.request("msg", {"body": "x"}, to="room")
    await a.request("bye")
    for key in redis_server.call("KEYS", "sig:*"):
        assert redis_server.call("PTTL", key) != -1, key


async def test_foreign_junk_on_the_bus_disturbs_nobody(pods: Pods, redis_server: RedisServer) -> None:
    room = new_room()
    a = await SigClient.member(pods[0].url, room)
    b = await SigClient.member(pods[1].url, room)
    await a.event("joined", b.sid)
    channels = redis_server.call("PUBSUB", "CHANNELS", "sig:*")
    assert len(channels) >= 3
    for channel in channels:
        for junk in (
            b"",
            b"junk",
            b"\xff\xfe 1 x",
            b"e 99999999999999999999 x",
            b"1 2 3",
            b'{"type":"parcels","room":"x","parcels":[["s","{}"]]}',
            b'{"type":"replaced","sid":"%b","claim":"guess"}' % a.sid.encode(),
            b"[" * 50_000,
        ):
            redis_server.call("PUBLISH", channel, junk)
    await a.request("msg", {"body": "fine"}, to="room")
    await b.expect(lambda frame: frame["t"] == "msg", within=15)
    await b.request("ping", {"ts": 1})


async def test_a_pushed_line_that_got_lost_is_fetched(pods: Pods, redis_server: RedisServer) -> None:
    room = new_room()
    a = await SigClient.member(pods[0].url, room)
    b = await SigClient.member(pods[1].url, room)
    await a.event("joined", b.sid)
    (events,) = [
        key
        for key in redis_server.call("KEYS", "sig:*:ev")
        if a.sid.encode() in redis_server.call("XRANGE", key, "-", "+")[0][1].values()
    ]

    async def lose_one() -> bool:
        """Whether the gap was seen in the push, and not by a look at the room just before it."""
        before = pods[1].metric("sig_bus_gaps_total")
        off = redis_server.call("HINCRBY", events.replace(b":ev", b":meta"), "off", 1)
        frame = f'{{"t":"msg","from":"{a.sid}","d":{{"body":"unpushed"}}}}'
        line = f'["x.{off}","{a.sid}","",""]\n{frame}'
        redis_server.call("XADD", events, f"{off}-0", "f", a.sid, "i", "", "e", line)
        await a.request("msg", {"body": "pushed"}, to="room")
        bodies = [(await b.expect(lambda frame: frame["t"] == "msg"))["d"]["body"] for _ in range(2)]
        assert bodies == ["unpushed", "pushed"]
        return pods[1].metric("sig_bus_gaps_total") > before

    assert await eventually(lose_one, within=20)


async def test_readiness_waits_for_the_first_redis_connection() -> None:
    redis = RedisServer()
    try:
        with signaling(redis.url) as server:
            assert server.get("/readyz") == (503, "Redis has not been reached yet\n")
            assert server.get("/healthz")[0] == 200
            client = await SigClient.connect(server.url)
            with pytest.raises(RequestFailedError) as failed:
                await client.say_hello(token())
            assert failed.value.code == "unavailable"
            assert failed.value.data["retry_after_ms"] > 0
            redis.start()
            await eventually(lambda: server.get("/readyz")[0] == 200)
            late = await SigClient.member(server.url, new_room())
            await late.request("ping", {"ts": 1})
    finally:
        redis.close()


async def test_a_session_without_a_room_has_one_socket_too(pods: Pods) -> None:
    room = new_room()
    first = await SigClient.hello(pods[0].url)
    second = await first.resume_on(pods[1].url)
    assert await first.closes() == 4005
    await second.join(room)
    third = await second.resume_on(pods[0].url)
    assert await second.closes() == 4005
    assert third.resumed["room"] == room
