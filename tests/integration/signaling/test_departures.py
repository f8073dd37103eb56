"""Members that go away while something of theirs is still under way."""

import json
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from callcluster_common import directive, room_names
from callcluster_common.directive import Directive, RoomRule
from kit.eventually import eventually
from kit.redis_server import RedisServer
from kit.sig_client import MODERATOR, RequestFailedError, SigClient, token
from kit.signaling_server import SignalingProcess, signaling


@pytest.mark.redis
async def test_a_last_message_before_a_broken_connection_stops_no_clock(
    pods: tuple[SignalingProcess, SignalingProcess],
) -> None:
    """Its reply comes when nobody of that room is left here; tokens of others must go on to expire."""
    server, _ = pods
    watched = await SigClient.hello(server.url, token(ttl=-8))  # within the leeway, for two seconds more
    for _ in range(20):
        client = await SigClient.member(server.url, f"room-{secrets.token_hex(6)}")
        for number in range(5):
            await client.ws.send(json.dumps({"t": "msg", "to": "room", "d": {"body": str(number)}}))
        client.abort()
    assert await watched.closes() == 4501
    await eventually(lambda: server.running())


@contextmanager
def cut_off(server: SignalingProcess, redis_server: RedisServer) -> Iterator[None]:
    """Nothing that happens meanwhile reaches the server."""
    pod = json.loads(next(line for line in server.log if '"msg": "serving"' in line))["id"]
    server.process.send_signal(signal.SIGSTOP)
    try:
        clients = redis_server.call("CLIENT", "LIST").decode().splitlines()
        number = next(line for line in clients if f"name=signaling-{pod}" in line).split()[0]
        redis_server.call("CLIENT", "KILL", "ID", number.removeprefix("id="))
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


@pytest.mark.redis
async def test_a_member_that_was_kicked_while_its_pod_was_cut_off_is_told_so(
    redis_server: RedisServer,
) -> None:
    room = f"room-{secrets.token_hex(6)}"
    with signaling(redis_server.url) as old, signaling(redis_server.url) as new:
        member = await SigClient.member(old.url, room)
        moderator = await SigClient.member(new.url, room, token(g=MODERATOR))
        with cut_off(old, redis_server):
            await moderator.request("mod.kick", {"sid": member.sid})
        assert await member.closes(within=20) == 4502


@pytest.mark.redis
async def test_a_pod_that_missed_the_news_of_a_moved_session_leaves_its_record_alone(
    redis_server: RedisServer,
) -> None:
    room = f"room-{secrets.token_hex(6)}"
    with signaling(redis_server.url) as old, signaling(redis_server.url) as new:
        member = await SigClient.member(old.url, room)
        with cut_off(old, redis_server):
            moved = await member.resume_on(new.url)
        assert await member.closes(within=20) == 4005

        moved.abort()
        again = await moved.resume_on(new.url)
        assert again.resumed["room"] == room


@pytest.mark.parametrize("bus", ["memory://", pytest.param("redis", marks=pytest.mark.redis)])
async def test_a_room_whose_members_are_all_gone_takes_newcomers(
    bus: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    room = f"room-{secrets.token_hex(6)}"
    key = room_names.room_key(b"salt-of-the-tests", room)
    file = tmp_path / directive.DIRECTIVE_FILE
    file.write_bytes(directive.encode(Directive(rooms=(RoomRule(key, max_participants=1),))))
    url = request.getfixturevalue("redis_server").url if bus == "redis" else bus
    with signaling(url, DIRECTIVE_FILE=str(file), RESUME_WINDOW_SECONDS="1") as server:
        first = await SigClient.member(server.url, room)
        second = await SigClient.hello(server.url)

        async def comes_in() -> bool:
            try:
                await second.join(room)
            except RequestFailedError as error:
                if error.code != "room_full":
                    raise
                return False
            return True

        assert not await comes_in()
        first.abort()
        await eventually(comes_in, every=0.2)
