"""One server, both buses: what a call needs."""

import asyncio
import json
import secrets
from typing import Any

import pytest
from kit.sig_client import MODERATOR, RequestFailedError, SigClient, token
from kit.signaling_server import SignalingProcess


def new_room() -> str:
    return f"room-{secrets.token_hex(6)}"


async def test_two_members_set_up_a_call(server: SignalingProcess) -> None:
    room = new_room()
    a = await SigClient.member(server.url, room)
    b = await SigClient.hello(server.url)
    joined = await b.join(room, meta="c2VhbGVk")
    assert {one["sid"] for one in joined["d"]["snapshot"]["members"]} == {a.sid, b.sid}
    event = await a.event("joined", b.sid)
    assert event["d"]["member"]["meta"] == "c2VhbGVk"
    await a.request("offer", {"sdp": "v=0 offer"}, to={"sid": b.sid})
    offer = await b.expect(lambda frame: frame["t"] == "offer")
    assert (offer["from"], offer["d"]) == (a.sid, {"sdp": "v=0 offer"})
    await b.request("answer", {"sdp": "v=0 answer"}, to={"sid": a.sid})
    assert (await a.expect(lambda frame: frame["t"] == "answer"))["from"] == b.sid
    await a.request(
        "ice", {"candidates": [{"candidate": "x", "sdpMid": "0"}], "end": True}, to={"sid": b.sid}
    )
    ice = await b.expect(lambda frame: frame["t"] == "ice")
    assert ice["d"] == {"candidates": [{"candidate": "x", "sdpMid": "0"}], "end": True}
    await b.request("restart", to={"sid": a.sid})
    await a.expect(lambda frame: frame["t"] == "restart")
    await a.request("state", {"audio": True})
    assert (await b.event("updated", a.sid))["d"]["state"]["audio"]
    await b.request("leave")
    assert (await a.event("left", b.sid))["d"]["reason"] == "left"


async def test_sealed_keys_reach_their_recipient_alone(server: SignalingProcess) -> None:
    room = new_room()
    a, b, c = [await SigClient.member(server.url, room) for _ in range(3)]
    await a.request(
        "key.send", {"entries": [{"to": b.sid, "body": "for-b"}, {"to": c.sid, "body": "for-c"}]}
    )
    for member, body in ((b, "for-b"), (c, "for-c")):
        got = await member.expect(lambda frame: frame["t"] == "key.deliver")
        assert (got["from"], got["d"], got.get("off")) == (a.sid, {"body": body}, None)
        await member.request("key.ack", {"kid": 7}, to={"sid": a.sid})
        await a.expect(lambda frame, m=member: frame["t"] == "key.ack" and frame["from"] == m.sid)
    await b.request("key.request", {"kid": 9}, to={"sid": a.sid})
    assert (await a.expect(lambda frame: frame["t"] == "key.request"))["d"] == {"kid": 9}
    assert not [frame for member in (b, c) for frame in member.frames if frame["t"] == "key.deliver"]


async def test_nobody_reaches_into_another_room(server: SignalingProcess) -> None:
    a = await SigClient.member(server.url, new_room())
    stranger = await SigClient.member(server.url, new_room())
    for kind, data in (("offer", {"sdp": "x"}), ("key.ack", {"kid": 1}), ("key.request", {"kid": 1})):
        with pytest.raises(RequestFailedError, match="no_such_member"):
            await stranger.request(kind, data, to={"sid": a.sid})
    await stranger.request("key.send", {"entries": [{"to": a.sid, "body": "x"}]})
    await stranger.request("msg", {"body": "x"}, to="room")
    await a.request("ping", {"ts": 1.0})
    assert a.frames == []


async def test_messages_reach_the_room_in_one_order(server: SignalingProcess) -> None:
    room = new_room()
    members = [await SigClient.member(server.url, room) for _ in range(4)]

    async def talk(member: SigClient) -> None:
        for number in range(20):
            await member.request("msg", {"body": f"{member.sid} {number}"}, to="room")

    await asyncio.gather(*(talk(member) for member in members))
    heard = []
    for member in members:
        frames = [
            await member.expect(lambda frame: frame["t"] == "msg") for _ in range(20 * (len(members) - 1))
        ]
        heard.append({frame["off"]: frame["d"]["body"] for frame in frames})
    everything = {off: body for one in heard for off, body in one.items()}
    assert len(everything) == 80
    for member, one in zip(members, heard, strict=True):
        assert one == {off: body for off, body in everything.items() if not body.startswith(member.sid)}


async def test_every_request_gets_one_reply(server: SignalingProcess) -> None:
    a = await SigClient.member(server.url, new_room())
    kinds: list[tuple[str, dict[str, Any], Any]] = [
        ("ping", {"ts": 1.0}, None),
        ("msg", {"body": "x"}, "room"),
        ("offer", {"sdp": "x"}, {"sid": "n" * 16}),
        ("dance", {}, None),
        ("join", {"room": "other"}, None),
        ("mod.end", {}, None),
        ("turn.refresh", {}, None),
    ]
    for number, (kind, data, to) in enumerate(kinds * 3):
        frame = {"t": kind, "id": f"q{number}", "d": data} | ({"to": to} if to else {})
        await a.send(frame)
    replies = [await a.expect(lambda frame, n=n: frame.get("re") == f"q{n}") for n in range(21)]
    await a.request("ping", {"ts": 2.0})
    assert a.frames == []
    assert {reply["t"] for reply in replies} == {"pong", "ok", "error", "turn"}


async def test_a_repeated_request_is_done_once(server: SignalingProcess) -> None:
    room = new_room()
    a, b = [await SigClient.member(server.url, room) for _ in range(2)]
    for _ in range(3):
        await a.send({"t": "msg", "id": "once", "to": "room", "d": {"body": "hello"}})
    await a.expect(lambda frame: frame.get("re") == "once")
    await a.request("msg", {"body": "last"}, to="room")
    await b.expect(lambda frame: frame["t"] == "msg" and frame["d"]["body"] == "hello")
    await b.expect(lambda frame: frame["t"] == "msg" and frame["d"]["body"] == "last")
    assert not [frame for frame in b.frames if frame["t"] == "msg"]


async def test_changes_that_overtake_their_answers_are_all_in_the_roster(server: SignalingProcess) -> None:
    room = new_room()
    a = await SigClient.member(server.url, room)
    bundle = {"suite": "kx1", "ik": "A" * 43, "ek": "B" * 43, "nbf": 1, "exp": 2, "sig": "C" * 86}
    await a.send({"t": "bundle.refresh", "id": "b", "d": {"bundle": bundle}})
    await a.send({"t": "state", "id": "s", "d": {"audio": True}})
    await a.expect(lambda frame: frame.get("re") == "s")
    joined = await (await SigClient.hello(server.url)).join(room)
    (line,) = [member for member in joined["d"]["snapshot"]["members"] if member["sid"] == a.sid]
    assert (line["bundle"], line["state"]["audio"]) == (bundle, True)


# Moderation


async def test_a_kicked_member_is_out_and_may_not_come_back_yet(server: SignalingProcess) -> None:
    room = new_room()
    moderator = await SigClient.member(server.url, room, token(room, g=MODERATOR))
    bearer = token(room, sub="mallory", jti="t1")
    mallory = await SigClient.member(server.url, room, bearer)
    witness = await SigClient.member(server.url, room)
    await moderator.request("mod.kick", {"sid": mallory.sid, "ban_s": 600})
    assert await mallory.closes() == 4502
    for other in (moderator, witness):
        assert (await other.event("left", mallory.sid))["d"]["reason"] == "kicked"
    for again in (bearer, token(room, sub="mallory"), token(room, sub="other", jti="t1")):
        client = await SigClient.hello(server.url, again)
        with pytest.raises(RequestFailedError, match="banned"):
            await client.join(room)
        assert await client.closes() == 4507
    with pytest.raises(RequestFailedError, match="resume_failed"):
        await mallory.resume_on(server.url)
    elsewhere = await SigClient.hello(server.url, token("*", sub="mallory"))
    await elsewhere.join(new_room())


async def test_a_kick_without_a_ban_lets_the_member_come_back(server: SignalingProcess) -> None:
    room = new_room()
    moderator = await SigClient.member(server.url, room, token(room, g=MODERATOR))
    bearer = token(room)
    member = await SigClient.member(server.url, room, bearer)
    await moderator.request("mod.kick", {"sid": member.sid})
    assert await member.closes() == 4502
    await SigClient.member(server.url, room, bearer)


async def test_mute_is_a_request(server: SignalingProcess) -> None:
    room = new_room()
    moderator = await SigClient.member(server.url, room, token(room, g=MODERATOR))
    member = await SigClient.member(server.url, room)
    await moderator.request("mod.mute", {"sid": member.sid, "kind": "audio"})
    asked = await member.expect(lambda frame: frame["t"] == "mute.request")
    assert (asked["from"], asked["d"]) == (moderator.sid, {"kind": "audio"})


async def test_what_a_moderator_blocks_is_told_to_all_and_stays_blocked_until_unblocked(
    server: SignalingProcess,
) -> None:
    room = new_room()
    moderator = await SigClient.member(server.url, room, token(room, g=MODERATOR))
    member = await SigClient.member(server.url, room)
    await moderator.request("mod.block", {"sid": member.sid, "media": "audio", "blocked": True})
    for client in (moderator, member):
        told = (await client.event("blocked", member.sid))["d"]
        assert (told["media"], told["blocked"]) == ("audio", True)
    await member.request("state", {"audio": True})
    late = await SigClient.hello(server.url)
    roster = (await late.join(room))["d"]["snapshot"]["members"]
    assert {one["sid"]: one.get("blocked") for one in roster}[member.sid] == ["audio"]
    with pytest.raises(RequestFailedError, match="forbidden"):
        await member.request("mod.block", {"sid": member.sid, "media": "audio", "blocked": False})
    with pytest.raises(RequestFailedError, match="no_such_member"):
        await moderator.request("mod.block", {"sid": "n" * 16, "media": "audio", "blocked": True})
    await moderator.request("mod.block", {"sid": member.sid, "media": "audio", "blocked": False})
    last = await SigClient.hello(server.url)
    roster = (await last.join(room))["d"]["snapshot"]["members"]
    assert all("blocked" not in one for one in roster)


async def test_a_locked_room_lets_moderators_and_returning_pages_in_alone(server: SignalingProcess) -> None:
    room = new_room()
    moderator = await SigClient.member(server.url, room, token(room, g=MODERATOR))
    bearer = token(room)
    member = await SigClient.member(server.url, room, bearer)
    await moderator.request("mod.lock", {"locked": True})
    for client in (moderator, member):
        assert (await client.event("locked"))["d"]["locked"]
    with pytest.raises(RequestFailedError, match="room_locked"):
        await SigClient.member(server.url, room)
    await SigClient.member(server.url, room, token(room, g=MODERATOR))
    again = await SigClient.hello(server.url, bearer, member.cid)
    await again.join(room)
    assert (await moderator.event("left"))["d"]["sid"] == member.sid
    assert await member.closes() == 4005
    await moderator.request("mod.lock", {"locked": False})
    await SigClient.member(server.url, room)


async def test_the_end_is_for_everybody_and_a_new_call_can_begin(server: SignalingProcess) -> None:
    room = new_room()
    moderator = await SigClient.member(server.url, room, token(room, g=MODERATOR))
    member = await SigClient.member(server.url, room)
    await moderator.request("mod.end")
    assert await moderator.closes() == await member.closes() == 4503
    assert member.frames[-1]["d"] == {"kind": "ended"}
    again = await SigClient.hello(server.url)
    joined = await again.join(room)
    assert joined["d"]["epoch"] != member.epoch
    assert [one["sid"] for one in joined["d"]["snapshot"]["members"]] == [again.sid]


async def test_a_connection_id_of_somebody_else_is_refused(server: SignalingProcess) -> None:
    room = new_room()
    member = await SigClient.member(server.url, room)
    thief = await SigClient.hello(server.url, token(sub="thief"), member.cid)
    with pytest.raises(ConnectionError):
        await thief.join(room)
    assert await thief.closes() == 4506
    await member.request("ping", {"ts": 1.0})


# Coming back to one server


async def test_a_dropped_member_misses_nothing(server: SignalingProcess) -> None:
    room = new_room()
    a, b = [await SigClient.member(server.url, room) for _ in range(2)]
    b.abort()
    await a.event("reconnecting", b.sid)
    for number in range(5):
        await a.request("offer", {"sdp": f"v={number}"}, to={"sid": b.sid})
        await a.request("msg", {"body": f"{number}"}, to="room")
    c = await SigClient.member(server.url, room)
    back = await b.resume_on(server.url)
    assert (back.resumed["recovered"], back.resumed["missed"], back.sid) == (True, 11, b.sid)
    await a.event("resumed", b.sid)
    await c.request("msg", {"body": "live"}, to="room")
    await back.expect(lambda frame: frame["t"] == "msg" and frame["d"]["body"] == "live")
    rest = [frame["d"].get("sdp") or frame["d"].get("body") or frame["d"]["sid"] for frame in back.frames]
    assert rest == ["v=0", "0", "v=1", "1", "v=2", "2", "v=3", "3", "v=4", "4", c.sid]


async def test_requests_that_were_done_before_the_drop_are_not_done_again(server: SignalingProcess) -> None:
    room = new_room()
    a, b = [await SigClient.member(server.url, room) for _ in range(2)]
    await a.request("msg", {"body": "once"}, to="room", id="m1")
    a.abort()
    back = await a.resume_on(server.url)
    assert (await back.request("msg", {"body": "once"}, to="room", id="m1"))["t"] == "ok"
    await back.request("msg", {"body": "end"}, to="room")
    assert (await b.expect(lambda frame: frame["t"] == "msg"))["d"]["body"] == "once"
    assert (await b.expect(lambda frame: frame["t"] == "msg"))["d"]["body"] == "end"


async def test_a_join_whose_answer_was_lost_can_be_repeated(server: SignalingProcess) -> None:
    room = new_room()
    a = await SigClient.member(server.url, room)
    b = await SigClient.hello(server.url)
    await b.send({"t": "join", "id": "j1", "d": {"room": room}})
    await a.event("joined", b.sid)
    b.abort()
    back = await b.resume_on(server.url)
    assert back.resumed["room"] == room
    joined = await back.join(room, id="j1")
    assert sorted(one["sid"] for one in joined["d"]["snapshot"]["members"]) == sorted([a.sid, b.sid])


async def test_an_offset_from_another_epoch_gets_a_snapshot(server: SignalingProcess) -> None:
    room = new_room()
    a = await SigClient.member(server.url, room)
    a.abort()
    a.epoch = "long-ago"
    back = await a.resume_on(server.url)
    assert not back.resumed["recovered"]
    assert [one["sid"] for one in back.resumed["snapshot"]["members"]] == [a.sid]
    assert back.epoch != "long-ago"


async def test_an_older_attempt_does_not_win(server: SignalingProcess) -> None:
    room = new_room()
    a = await SigClient.member(server.url, room)
    newest = await a.resume_on(server.url, attempt=7)
    assert await a.closes() == 4005
    with pytest.raises(ConnectionError):
        await a.resume_on(server.url, attempt=3)
    await newest.request("ping", {"ts": 1.0})


async def test_a_session_without_a_room_comes_back_too(server: SignalingProcess) -> None:
    a = await SigClient.hello(server.url)
    a.abort()
    back = await a.resume_on(server.url)
    assert back.resumed["recovered"]
    assert "room" not in back.resumed
    await back.join(new_room())


async def test_who_said_bye_is_gone(server: SignalingProcess) -> None:
    room = new_room()
    a, b = [await SigClient.member(server.url, room) for _ in range(2)]
    await b.request("bye")
    assert await b.closes() == 1000
    assert (await a.event("left", b.sid))["d"]["reason"] == "left"
    with pytest.raises(RequestFailedError) as failed:
        await b.resume_on(server.url)
    assert (failed.value.code, failed.value.data["next"]) == ("resume_failed", "rejoin")


async def test_a_failed_resume_goes_on_with_hello_on_the_same_socket(server: SignalingProcess) -> None:
    client = await SigClient.connect(server.url)
    with pytest.raises(RequestFailedError):
        await client.request(
            "resume", {"resume_token": f"{'s' * 16}.{'t' * 43}", "cid": client.cid, "attempt": 1}
        )
    await client.say_hello(token())
    await client.join(new_room())


async def test_a_resume_token_of_somebody_else_opens_nothing(server: SignalingProcess) -> None:
    a = await SigClient.member(server.url, new_room())
    a.resume_token = f"{a.sid}.{'x' * 43}"
    with pytest.raises(RequestFailedError, match="resume_failed"):
        await a.resume_on(server.url)
    await a.request("ping", {"ts": 1.0})


async def test_a_session_is_taken_up_by_the_page_that_began_it_alone(server: SignalingProcess) -> None:
    a = await SigClient.member(server.url, new_room())
    a.abort()
    a.cid = "another-page"
    with pytest.raises(RequestFailedError) as refused:
        await a.resume_on(server.url)
    assert refused.value.data["next"] == "rejoin"


async def test_frames_are_one_json_object_each(server: SignalingProcess) -> None:
    a = await SigClient.member(server.url, new_room())
    await a.ws.send(json.dumps([{"t": "ping"}]))
    error = await a.expect(lambda frame: frame["t"] == "error")
    assert error["d"]["code"] == "malformed"
