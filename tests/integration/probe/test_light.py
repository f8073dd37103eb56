"""Light calls across two signaling servers: what they see of a server that dies."""

import asyncio
import os

import pytest
from callcluster_probe.light import LightCall
from kit.eventually import eventually
from kit.redis_server import RedisServer
from kit.signaling_server import signaling as start_signaling

CALLS = 3


@pytest.fixture
def redis():
    server = RedisServer()
    server.start()
    yield server
    server.close()


def guests_welcome(redis_url):
    return start_signaling(redis_url, GUEST_ACCESS="true", DRAIN_SPREAD_SECONDS="2")


@pytest.mark.redis
@pytest.mark.timeout(120)
async def test_calls_outlive_a_signaling_server_that_is_killed(redis):
    with guests_welcome(redis.url) as dying, guests_welcome(redis.url) as staying:
        calls = [LightCall(dying.url, staying.url, f"room-{n}", os.urandom(32)) for n in range(CALLS)]
        try:
            await asyncio.gather(*(call.__aenter__() for call in calls))
            await asyncio.gather(*(call.talking() for call in calls))
            for call in calls:
                call.forget_gaps()
            dying.kill()
            await eventually(lambda: all(call.stats()[0].resumes for call in calls), within=30)
            await asyncio.gather(*(call.settle() for call in calls))
            for call in calls:
                first, second = call.stats()
                assert len(first.resumes) == 1
                assert first.resumes[0].seconds > 0
                assert not second.resumes
                for member in (first, second):
                    assert member.rejoins == 0
                    assert member.ended is None
                    assert member.messages_lost == ()
                    assert member.messages_repeated == 0
                    assert member.messages_out_of_order == 0
                    assert member.messages_taken > 0
                    assert member.longest_gap < first.resumes[0].seconds + 5
                    assert not member.down
        finally:
            await asyncio.gather(*(call.close() for call in calls))


async def test_a_call_reports_what_it_missed(signaling):
    async with LightCall(signaling.url, signaling.url, "room", os.urandom(32)) as call:
        await call.talking()
        await eventually(lambda: all(member.messages_taken for member in call.stats()))
        await call.settle()
        for member in call.stats():
            assert member.frames_opened > 0
            assert member.frames_failed == 0
            assert member.messages_lost == ()
            assert member.resumes == ()
            assert member.longest_gap > 0


@pytest.mark.redis
@pytest.mark.timeout(120)
async def test_a_drain_moves_calls_without_a_gap(redis):
    with guests_welcome(redis.url) as leaving, guests_welcome(redis.url) as staying:
        async with LightCall(leaving.url, staying.url, "room", os.urandom(32)) as call:
            await call.talking()
            # On a starved machine a member may have gone to the other server at once: then nothing moves.
            assert leaving.metric("sig_sessions") == staying.metric("sig_sessions") == 1

            def resumed() -> bool:
                assert call.stats()[0].rejoins == 0
                return bool(call.stats()[0].resumes)

            leaving.terminate()
            await eventually(resumed, within=30)
            await call.settle()
            first, second = call.stats()
            assert [resume.seconds for resume in first.resumes] == [0]
            for member in (first, second):
                assert member.messages_lost == ()
                assert member.messages_repeated == 0
                assert member.rejoins == 0
