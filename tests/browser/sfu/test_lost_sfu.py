"""Calls whose SFU is lost: another one, or members among themselves, take over."""

from __future__ import annotations

import asyncio

import pytest
from browser.conftest import Opener
from browser.sdk.tabs import Look, Tab
from browser.sfu.conftest import Meeter
from browser.sfu.meeting import BY_LINK, SOUND, WITHIN, hear_each_other, hears_tab, moved, three
from kit.eventually import eventually
from kit.lossy_link import LOOPBACK, Conditions, lossy_link
from kit.redis_server import RedisServer
from kit.sfu_process import NEEDS_PLANE, sfu

pytestmark = [
    NEEDS_PLANE,
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


WAY = """sid => {
    const track = document.getElementById(`${sid}-mic`)?.srcObject.getTracks()[0]
    const brings = connection => connection.getReceivers().some(receiver => receiver.track === track)
    const { remoteDescription } = seen.connections.find(brings) ?? {}
    if (!remoteDescription) return 'none'
    return remoteDescription.sdp.includes('a=ice-lite') ? 'sfu' : 'direct'
}"""


def direct(look: Look) -> bool:
    """Each of two others is connected by a connection of its own."""
    return bool(look["connections"] - look["forwarded"] == 2)


async def hears_by(tab: Tab, other: Tab, way: str) -> bool:
    """Whether what is played of another member's sound comes by this way."""
    return bool(await tab.page.evaluate(WAY, other.sid) == way)


async def test_without_the_sfu_members_are_connected_directly_until_there_is_one_again(
    open_tab: Opener, room: str, redis: RedisServer
) -> None:
    with sfu(redis.url) as first:
        tabs = await three(open_tab, room)
        first.kill()
        for tab in tabs:
            await tab.until(direct, WITHIN)
        await hear_each_other(tabs, tabs[:1])
    with sfu(redis.url):
        for tab in tabs:
            await tab.until(moved, WITHIN)
        await hear_each_other(tabs, tabs[:1])


async def test_one_that_alone_loses_the_sfu_is_heard_directly_by_the_others(
    open_tab: Opener, meet: Meeter, room: str, redis: RedisServer
) -> None:
    with sfu(redis.url) as forwarder:
        async with lossy_link((LOOPBACK, forwarder.port)) as link:
            ada = await open_tab()
            await ada.page.evaluate(BY_LINK, link.port)
            await ada.join(room, media=SOUND)
            bob = await (await open_tab()).join(room, media=SOUND)
            await meet()
            await hear_each_other([ada, bob], [])
            await eventually(lambda: hears_by(bob, ada, "sfu"), within=WITHIN)
            link.conditions = Conditions(loss=1.0)
            await eventually(lambda: hears_by(bob, ada, "direct"), within=WITHIN)
            await eventually(lambda: hears_by(ada, bob, "direct"), within=WITHIN)
            await hear_each_other([ada, bob], [])
            assert f"{ada.sid}-mic" not in (await bob.look())["lost"]


async def test_an_sfu_that_drains_hands_the_call_to_another_and_nobody_is_lost(
    open_tab: Opener, meet: Meeter, room: str, redis: RedisServer
) -> None:
    with sfu(redis.url) as first:
        ada = await (await open_tab()).join(room)
        bob = await (await open_tab()).join(room, media=SOUND)
        cid = await meet()
        await hear_each_other([ada, bob], [ada])
        before = {tab.sid: await tab.look() for tab in (ada, bob)}
        with sfu(redis.url):
            first.terminate()
            assert await asyncio.to_thread(first.ended, WITHIN) == 0, "all have moved"
            await hear_each_other([ada, bob], [ada])
            for tab in (ada, bob):
                look = await tab.until(lambda look: look["forwarded"] == 1, WITHIN)
                assert look["lost"] == before[tab.sid]["lost"]
                await hears_tab(cid, tab)


async def test_who_finds_no_place_at_the_sfu_is_connected_directly_to_everyone(
    open_tab: Opener, room: str, redis: RedisServer
) -> None:
    with sfu(redis.url, MAX_PARTICIPANTS="2"):
        tabs = [await (await open_tab()).join(room, media=SOUND) for _ in range(3)]
        await hear_each_other(tabs, [])
        looks = [
            await tab.until(lambda look: look["forwarded"] == 1 or look["warnings"], WITHIN) for tab in tabs
        ]
        refused = [tab for tab, look in zip(tabs, looks, strict=True) if look["warnings"]]
        assert [(await tab.look())["warnings"][0] for tab in refused] == ["sfu_failed"]
        served = [tab for tab in tabs if tab not in refused]
        for tab in served:
            await tab.until(lambda look: (look["connections"], look["forwarded"]) == (2, 1), WITHIN)
        await hear_each_other(tabs, [])
