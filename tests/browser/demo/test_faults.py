"""Fifty calls are up, one of them in Chromium, when something breaks."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from browser.app.chromium import chromium
from browser.sdk.tabs import Tab
from callcluster_probe.light import LightCall, LightStats
from kit.demo import Demo, demo
from kit.eventually import eventually
from redis.asyncio import Redis

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LIGHT_CALLS = 49
RESUME_WITHIN_S = 10.0
SILENCE_S = 2.0
"""Beyond what the machine itself is late by."""
BEAT_S = 0.1
FLOWS_WITHIN_S = 15.0
"""In a tab, while fifty calls come back on the same machine."""
STARTS_AT_ONCE = 4


class Pulse:
    """Beats in the event loop that carries the light members, and so knows how long nothing could come."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._longest = 0.0

    def longest_gap(self) -> float:
        """Between two beats, seconds."""
        return max(self._longest, self._loop.time() - self._last)

    def forget(self) -> None:
        """Measure from now on."""
        self._longest = 0.0

    async def beat(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(BEAT_S)
            now = self._loop.time()
            self._longest, self._last = max(self._longest, now - self._last), now


@dataclass
class Fifty:
    """What is up."""

    running: Demo
    light: list[LightCall]
    tabs: tuple[Tab, Tab]
    pulse: Pulse

    def forget_gaps(self) -> None:
        """Measure silence from now on."""
        self.pulse.forget()
        for call in self.light:
            call.forget_gaps()

    def stats(self) -> list[LightStats]:
        """Of all light members."""
        return [each for call in self.light for each in call.stats()]


@contextlib.asynccontextmanager
async def fifty_calls() -> AsyncIterator[Fifty]:
    async with demo() as running, chromium() as browser, contextlib.AsyncExitStack() as stack:
        gate = asyncio.Semaphore(STARTS_AT_ONCE)

        async def start() -> LightCall:
            async with gate:
                room = f"room-{secrets.token_hex(6)}"
                call = LightCall(running.url, running.url, room, secrets.token_bytes(32))
                await stack.enter_async_context(call)
                await call.talking()
                return call

        light = await asyncio.gather(*(start() for _ in range(LIGHT_CALLS)))
        one = await (await Tab.open(browser, running.port)).join("fiftieth")
        other = await (await Tab.open(browser, running.port)).join("fiftieth")
        await one.flows()
        await other.flows()
        pulse = Pulse()
        beating = asyncio.create_task(pulse.beat())
        yield Fifty(running, list(light), (one, other), pulse)
        beating.cancel()


async def all_resume(up: Fifty, before: list[LightStats]) -> None:
    """Every session is carried again, by a resume and not by a new session."""

    def resumed() -> bool:
        now = up.stats()
        return all(
            not new.down and len(new.resumes) > len(old.resumes)
            for new, old in zip(now, before, strict=True)
        )

    try:
        await eventually(resumed, within=RESUME_WITHIN_S)
    except AssertionError:
        missing = sum(
            new.down or len(new.resumes) == len(old.resumes)
            for new, old in zip(up.stats(), before, strict=True)
        )
        raise AssertionError(f"{missing} of {len(before)} sessions did not resume in time") from None


async def flow(up: Fifty) -> None:
    """Pictures and sound reach both tabs."""
    for tab in up.tabs:
        await tab.flows(within=FLOWS_WITHIN_S)


async def a_message_comes_through(one: Tab, other: Tab, after: str) -> None:
    await one.page.evaluate("after => window.call.send({ after })", after)
    await other.until(
        lambda look: any(each["data"].get("after") == after for each in look["messages"]), within=15
    )


async def messages_go_on(up: Fifty) -> None:
    """Each light member gets further messages."""
    before = [each.messages_taken for each in up.stats()]
    await eventually(
        lambda: all(new.messages_taken > old + 3 for new, old in zip(up.stats(), before, strict=True)),
        within=20,
    )


def media_never_stopped(up: Fifty, strike: str) -> None:
    """No light member missed media since the gaps were forgotten, beyond what the machine was late."""
    stats = up.stats()
    gap, late = max(each.longest_gap for each in stats), up.pulse.longest_gap()
    print(f"\n{strike}: longest gap in {len(stats)} members {gap:.2f} s, of the machine {late:.2f} s")
    assert gap < late + SILENCE_S, "media does not pass signaling, so it must not stop with it"


async def nothing_was_lost(up: Fifty) -> None:
    """No durable message of a light member is missing, repeated or out of order, and no session ended."""
    await asyncio.gather(*(call.settle() for call in up.light))
    stats = up.stats()
    assert sum(each.rejoins for each in stats) == 0
    assert sum(len(each.messages_lost) for each in stats) == 0
    assert sum(each.messages_repeated + each.messages_out_of_order for each in stats) == 0
    assert [each.ended for each in stats if each.ended] == []


async def the_signaling_pod_is_killed(up: Fifty) -> None:
    one, other = up.tabs
    sid, before = one.sid, up.stats()
    up.running.kill("callcluster_signaling")
    await flow(up)
    await all_resume(up, before)
    await one.until(lambda look: look["states"][-1]["state"] == "joined", within=RESUME_WITHIN_S)
    assert await one.page.evaluate("window.call.selfSid") == sid
    await a_message_comes_through(one, other, "the kill")


async def redis_loses_all_its_data(up: Fifty) -> None:
    redis = Redis.from_url(up.running.redis_url())
    await redis.flushall()
    await redis.aclose()
    await flow(up)
    await a_message_comes_through(*up.tabs, "the wipe")
    assert all(not each.down for each in up.stats())


async def redis_is_killed_and_comes_back_empty(up: Fifty) -> None:
    up.running.kill("redis-server")
    await flow(up)

    async def redis_is_back() -> bool:
        with contextlib.suppress(AssertionError):
            return bool(up.running.pid("redis-server"))
        return False

    await eventually(redis_is_back, within=30)
    await a_message_comes_through(*up.tabs, "the restart")
    assert all(not each.down for each in up.stats())


async def test_every_session_outlives_a_killed_signaling_pod_a_wiped_redis_and_a_killed_one() -> None:
    async with fifty_calls() as up:
        for strike in (
            the_signaling_pod_is_killed,
            redis_loses_all_its_data,
            redis_is_killed_and_comes_back_empty,
        ):
            up.forget_gaps()
            await strike(up)
            await messages_go_on(up)
            media_never_stopped(up, strike.__name__)
        await nothing_was_lost(up)
