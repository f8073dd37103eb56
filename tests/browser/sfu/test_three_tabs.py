"""Calls that move to an SFU when a third member comes: real tabs, real signaling, a real SFU."""

from __future__ import annotations

import pytest
from browser.conftest import Opener
from browser.sfu.meeting import SOUND, WITHIN, hear_each_other, hears, moved
from kit.sfu_process import NEEDS_PLANE, SFUProcess

pytestmark = [
    NEEDS_PLANE,
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]


async def test_two_tabs_stay_peer_to_peer_and_the_third_moves_everyone(
    open_tab: Opener, room: str, forwarder: SFUProcess
) -> None:
    ada, bob = [await (await open_tab()).join(room) for _ in range(2)]
    for tab in (ada, bob):
        look = await tab.flows(WITHIN)
        assert (look["connections"], look["forwarded"]) == (1, 0)
    cid = await (await open_tab()).join(room)
    tabs = (ada, bob, cid)
    for tab in tabs:
        await tab.until(moved, WITHIN)
    await hear_each_other(tabs)
    for tab in tabs:
        look = await tab.until(lambda look: look["encryption"]["active"], WITHIN)
        seen = [track for track in look["lost"] if not track.endswith("-screen")]
        assert seen == [], "no track was taken away before another took its place"
        assert look["warnings"] == []
        assert look["encryption"]["failed"] == 0
        stats = (await tab.page.evaluate("call.stats()"))["members"]
        assert {line["route"] for line in stats.values()} == {"sfu"}
        assert set(stats) == {other.sid for other in tabs if other is not tab}


async def test_screens_and_members_come_and_go_without_a_reload_elsewhere(
    open_tab: Opener, room: str, forwarder: SFUProcess
) -> None:
    ada, bob, cid = tabs = [await (await open_tab()).join(room, media=SOUND) for _ in range(3)]
    for tab in tabs:
        await tab.until(moved, WITHIN)
    await ada.page.evaluate(
        """async () => {
            const canvas = document.createElement('canvas')
            setInterval(() => canvas.getContext('2d').fillRect(0, 0, Math.random() * 300, 150), 100)
            await call.setTrack('screen', canvas.captureStream(10).getVideoTracks()[0])
            await call.setState({ screen: true })
        }"""
    )
    await bob.until(lambda look: [frames > 5 for frames in look["perVideo"]] == [True], WITHIN)
    before = len((await bob.look())["lost"])
    await ada.page.evaluate("call.setState({ screen: false })")
    look = await bob.until(lambda look: len(look["lost"]) > before, WITHIN)
    assert look["lost"][before:] == [f"{ada.sid}-screen"]
    await hears(bob)
    assert moved(await bob.look())

    await cid.page.evaluate("call.leave()")
    for tab in (ada, bob):
        await tab.until(lambda look: len(look["members"]["members"]) == 2, WITHIN)
        await hears(tab)
    again = await (await open_tab()).join(room)
    for tab in (ada, bob, again):
        await tab.until(moved, WITHIN)
    await hear_each_other((ada, bob, again), [again])
