"""Pods that share one Redis: a session outlives the pod that its socket was on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator

import pytest
from browser.conftest import Opener
from browser.sdk.wire import Wire
from kit.redis_server import RedisServer
from kit.signaling_server import SignalingProcess, signaling

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="module"),
]

Pods = tuple[SignalingProcess, SignalingProcess]


@pytest.fixture
def pods() -> Iterator[Pods]:
    redis = RedisServer()
    redis.start()
    try:
        with (
            signaling(redis.url, GUEST_ACCESS="true", DRAIN_SPREAD_SECONDS="1") as first,
            signaling(redis.url, GUEST_ACCESS="true") as second,
        ):
            yield first, second
    finally:
        redis.kill()


async def test_a_draining_pod_hands_its_members_over_before_it_lets_go(
    open_tab: Opener, pods: Pods, room: str
) -> None:
    async with Wire(pods[0].port) as wire:
        ada = await (await open_tab(wire.port)).join(room)
        bob = await (await open_tab(wire.port)).join(room)
        await ada.flows()
        wire.target = pods[1].port
        pods[0].terminate()
        await asyncio.to_thread(pods[0].ended)
        await ada.page.evaluate("call.send('after')")
        look = await bob.until(lambda look: look["messages"])
        for tab in (ada, bob):
            await tab.flows()
            look = await tab.look()
            assert [each["state"] for each in look["states"]] == ["connecting", "joined"]
            assert look["connections"] == 1


async def test_a_killed_pod_costs_no_session_and_no_message(
    open_tab: Opener, pods: Pods, room: str
) -> None:
    async with Wire(pods[0].port) as wire:
        ada = await (await open_tab(wire.port)).join(room)
        bob = await (await open_tab(pods[1].port)).join(room)
        await ada.flows()
        wire.target = pods[1].port
        pods[0].kill()
        sent = list(range(20))
        for number in sent:
            await bob.page.evaluate("number => call.send(number)", number)
        look = await ada.until(lambda look: len(look["messages"]) >= len(sent))
        assert [message["data"] for message in look["messages"]] == sent
        for tab in (ada, bob):
            await tab.flows()
            assert (await tab.look())["connections"] == 1
        assert [each["state"] for each in look["states"]] == [
            "connecting",
            "joined",
            "reconnecting",
            "joined",
        ]
