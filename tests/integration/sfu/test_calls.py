"""Real media through a real SFU: Redis, signaling and the SFU are processes, the members are aiortc's."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from callcluster_common import redis_keys
from kit.eventually import eventually
from kit.redis_server import RedisServer
from kit.sfu_member import SFUMember
from kit.sfu_process import NEEDS_PLANE, SFUProcess, sfu
from kit.sig_client import MODERATOR, SigClient, token
from kit.signaling_server import SignalingProcess, signaling

pytestmark = [pytest.mark.redis, pytest.mark.timeout(300), NEEDS_PLANE]

SECRET = bytes(range(32))
OTHER_SECRET = bytes(range(1, 33))


class Call:
    """Members of one room, who come one after the other."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self.room = f"room-{secrets.token_hex(6)}"
        self._stack = stack

    async def come(self, secret: bytes = SECRET) -> SFUMember:
        return await self._stack.enter_async_context(SFUMember(self.url, self.room, secret))

    async def three(self) -> tuple[SFUMember, SFUMember, SFUMember]:
        members = await self.come(), await self.come(), await self.come()
        await hear_each_other(*members)
        return members


async def hear_each_other(*members: SFUMember) -> None:
    """Each opens frames of each other one from now on."""
    before = {member.sid: member.mark() for member in members}

    def all_do() -> bool:
        for member in members:
            for other in members:
                if member is not other:
                    assert member.opened[other.sid] > before[member.sid][other.sid] + 2
        return True

    await eventually(all_do, within=60)


def routes(*members: SFUMember) -> list[str]:
    return [member.connection.route for member in members if member.connection is not None]


def connected(member: SFUMember) -> bool:
    return member.connection is not None and member.connection.state == "connected"


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[SFUProcess]:
    with sfu(redis_server.url, LOG_LEVEL="debug") as made:
        yield made
        assert "Traceback" not in made.text


@pytest.fixture
async def call(pod: SignalingProcess) -> AsyncIterator[Call]:
    async with AsyncExitStack() as stack:
        yield Call(pod.url, stack)


async def test_three_members_hear_each_other_through_the_sfu(server: SFUProcess, call: Call) -> None:
    members = await call.three()
    assert all(member.arrived == member.opened for member in members)
    report = server.report()
    assert (report["rooms"], report["participants"]) == (1, 3)


async def test_two_members_do_without_an_sfu(server: SFUProcess, call: Call) -> None:
    first, second = await call.come(), await call.come()
    third = await call.come()
    await hear_each_other(first, second, third)
    await third.leave()
    # A call that has one keeps it; a call of two does not ask for one.
    await hear_each_other(first, second)
    async with AsyncExitStack() as stack:
        pair = Call(call.url, stack)
        members = await pair.come(), await pair.come()
        assert server.report()["rooms"] == 1
        assert [member.offered for member in members] == [None, None]


async def test_without_the_room_secret_frames_arrive_and_none_opens(server: SFUProcess, call: Call) -> None:
    first, second = await call.come(), await call.come()
    stranger = await call.come(OTHER_SECRET)
    await hear_each_other(first, second)
    await eventually(lambda: min(stranger.arrived[m.sid] for m in (first, second)) > 20, within=60)
    assert stranger.opened.total() == 0
    await eventually(lambda: first.arrived[stranger.sid] > 20, within=60)
    assert first.opened[stranger.sid] == second.opened[stranger.sid] == 0


async def test_who_leaves_ends_its_tracks_for_the_others(server: SFUProcess, call: Call) -> None:
    first, second, third = await call.three()
    gone = third.sid
    await third.leave()
    await eventually(lambda: set(first.tracks.values()) == {second.sid}, within=60)
    await eventually(lambda: set(second.tracks.values()) == {first.sid}, within=60)
    arrived = first.arrived[gone]
    await hear_each_other(first, second)
    assert first.arrived[gone] == arrived
    await eventually(lambda: server.report()["participants"] == 2, within=60)


async def test_a_kicked_members_transport_is_cut(server: SFUProcess, call: Call) -> None:
    first, second, third = await call.three()
    moderator = await SigClient.member(call.url, call.room, token(g=MODERATOR))
    await moderator.request("mod.kick", {"sid": third.sid})
    await eventually(lambda: third.reason, within=60)
    connection = third.connection
    assert connection is not None
    await eventually(lambda: connection.state == "closed", within=60)
    await eventually(lambda: server.report()["participants"] == 2, within=60)
    await hear_each_other(first, second)
    await SigClient.close_all()


async def test_what_a_moderator_blocks_reaches_nobody_whatever_its_client_does(
    server: SFUProcess, call: Call
) -> None:
    first, second, third = await call.three()
    moderator = await SigClient.member(call.url, call.room, token(g=MODERATOR))

    async def block(blocked: bool) -> None:
        data = {"sid": third.sid, "media": "audio", "blocked": blocked}
        await moderator.request("mod.block", data)
        expected = {third.sid} if blocked else set()
        await eventually(lambda: first.muted == second.muted == expected, within=60)

    await block(True)
    await hear_each_other(first, second)  # what was on its way before is here by now
    arrived = first.arrived[third.sid], second.arrived[third.sid]
    heard = third.mark()
    await hear_each_other(first, second)
    await eventually(lambda: third.opened[first.sid] > heard[first.sid] + 2, within=60)
    assert (first.arrived[third.sid], second.arrived[third.sid]) == arrived
    await block(False)
    await hear_each_other(first, second, third)
    await SigClient.close_all()


async def test_a_lost_sfu_is_replaced_and_members_are_back(redis_server: RedisServer, call: Call) -> None:
    with sfu(redis_server.url) as one, sfu(redis_server.url) as two:
        members = await call.three()
        lost, other = (one, two) if one.serves(routes(*members)[0]) else (two, one)
        lost.kill()
        # The lease lasts five seconds; then signaling empties the seat and asks again.
        await eventually(lambda: all(other.serves(route) for route in routes(*members)), within=60)
        await hear_each_other(*members)
        assert other.report()["participants"] == 3
        assert "Traceback" not in other.text


async def test_a_drained_sfu_hands_its_call_over_and_ends(redis_server: RedisServer, call: Call) -> None:
    with sfu(redis_server.url) as one, sfu(redis_server.url) as two:
        members = await call.three()
        drained, other = (one, two) if one.serves(routes(*members)[0]) else (two, one)
        drained.terminate()
        await eventually(lambda: all(other.serves(route) for route in routes(*members)), within=60)
        await hear_each_other(*members)
        assert await asyncio.to_thread(drained.ended) == 0
        assert "Traceback" not in drained.text


async def test_a_drained_sfu_forwards_until_the_last_member_has_moved(
    redis_server: RedisServer, call: Call
) -> None:
    with sfu(redis_server.url) as one, sfu(redis_server.url) as two:
        first, second, third = members = await call.three()
        drained, other = (one, two) if one.serves(routes(first)[0]) else (two, one)
        first.stays = second.stays = True
        drained.terminate()
        await eventually(lambda: other.serves(routes(third)[0]) and connected(third), within=60)
        await hear_each_other(first, second)
        assert drained.running()
        await eventually(lambda: drained.report()["participants"] == 2, within=60)
        await hear_each_other(first, second)
        for member in (first, second):
            member.moves()
        await eventually(lambda: all(other.serves(route) for route in routes(*members)), within=60)
        await hear_each_other(*members)
        assert await asyncio.to_thread(drained.ended) == 0
        assert "Traceback" not in drained.text


async def test_a_frozen_sfu_that_lost_its_seat_lets_go_of_the_room(
    redis_server: RedisServer, call: Call
) -> None:
    # What members say at last is to find its place in the frozen one's socket.
    room_for_all = str(4 << 20)
    with (
        sfu(redis_server.url, SOCKET_BUFFER_BYTES=room_for_all) as one,
        sfu(redis_server.url, SOCKET_BUFFER_BYTES=room_for_all) as two,
    ):
        members = await call.three()
        frozen, other = (one, two) if one.serves(routes(*members)[0]) else (two, one)
        frozen.process.send_signal(signal.SIGSTOP)
        try:
            await eventually(lambda: all(other.serves(route) for route in routes(*members)), within=60)
        finally:
            frozen.process.send_signal(signal.SIGCONT)
        await hear_each_other(*members)
        await eventually(
            lambda: (frozen.report()["rooms"], frozen.report()["participants"]) == (0, 0), within=60
        )
        assert other.report()["rooms"] == 1


async def test_a_drain_ends_when_its_time_is_up_whoever_is_left(
    redis_server: RedisServer, call: Call
) -> None:
    with sfu(redis_server.url, DRAIN_SECONDS="1") as alone:
        members = await call.three()
        alone.terminate()
        assert await asyncio.to_thread(alone.ended) == 0
        # It said goodbye: nobody has to find out by silence.
        await eventually(
            lambda: all(m.connection is not None and m.connection.state == "closed" for m in members),
            within=60,
        )


async def test_asked_twice_to_end_it_ends_at_once(redis_server: RedisServer, call: Call) -> None:
    with sfu(redis_server.url) as alone:
        members = await call.three()
        alone.terminate()
        await eventually(lambda: alone.report()["draining"])
        await hear_each_other(*members)
        alone.terminate()
        assert await asyncio.to_thread(alone.ended) == 0


async def test_media_goes_on_without_signaling(redis_server: RedisServer, server: SFUProcess) -> None:
    with signaling(redis_server.url, GUEST_ACCESS="true") as pod:
        async with AsyncExitStack() as stack:
            members = await Call(pod.url, stack).three()
            pod.kill()
            pod.ended()
            await hear_each_other(*members)


async def test_an_sfu_that_lost_redis_forwards_and_serves_again_afterwards(call: Call) -> None:
    redis = RedisServer()
    redis.start()
    try:
        with signaling(redis.url, GUEST_ACCESS="true") as pod, sfu(redis.url) as server:
            async with AsyncExitStack() as stack:
                own = Call(pod.url, stack)
                members = await own.three()
                before = routes(*members)
                redis.kill()
                await hear_each_other(*members)
                redis.start()
                regained = 'sfu_seats_total{event="regained"} 1.0'
                await eventually(lambda: regained in server.get("/metrics")[1], within=60)
                fourth = await own.come()
                await hear_each_other(*members, fourth)
                assert routes(*members) == before, "no transport was lost"
            assert "Traceback" not in server.text
    finally:
        redis.close()


async def test_logs_and_metrics_name_nobody(server: SFUProcess, call: Call) -> None:
    members = await call.three()
    metrics = server.get("/metrics")[1]
    assert "sfu_participants 3.0" in metrics
    room = redis_keys.room(call.room)
    for text in (server.text, metrics, str(server.report())):
        for secret in (call.room, room.name, *(member.sid for member in members), "127.0.0.1"):
            assert secret not in text
