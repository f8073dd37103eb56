"""Calls that move to an SFU when a third member comes: real tabs, real signaling, a real SFU."""

from __future__ import annotations

import pytest
from browser.conftest import Opener
from browser.sfu.meeting import hear_each_other, moved, opened, three
from kit.sfu_process import NEEDS_PLANE, SFUProcess

pytestmark = [
    NEEDS_PLANE,
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]

BY_SFU = """async () => {
    const isSfu = ({ remoteDescription }) => remoteDescription?.sdp.includes('a=ice-lite')
    const report = await seen.connections.find(isSfu).getStats()
    const lines = [...report.values()].filter(({ type }) => type === 'inbound-rtp')
    const sum = (name) => lines.reduce((total, line) => total + (line[name] ?? 0), 0)
    const heard = sum('totalSamplesReceived') - sum('concealedSamples')
    return [sum('packetsReceived'), sum('framesDecoded'), heard]
}"""
"""Packets received from the SFU, pictures decoded, samples of sound that were no filling."""


async def test_two_tabs_stay_peer_to_peer_and_the_third_moves_everyone(
    open_tab: Opener, room: str, forwarder: SFUProcess
) -> None:
    ada, bob = [await (await open_tab()).join(room) for _ in range(2)]
    for tab in (ada, bob):
        look = await tab.flows()
        assert (look["connections"], look["forwarded"]) == (1, 0)
    cid = await (await open_tab()).join(room)
    tabs = (ada, bob, cid)
    for tab in tabs:
        await tab.until(moved, within=40)
    await hear_each_other(tabs)
    for tab in tabs:
        look = await tab.until(lambda look: look["encryption"]["active"])
        seen = [track for track in look["lost"] if not track.endswith("-screen")]
        assert seen == [], "no track was taken away before another took its place"
        assert look["warnings"] == []
        assert look["encryption"]["failed"] == 0
        stats = (await tab.page.evaluate("call.stats()"))["members"]
        assert {line["route"] for line in stats.values()} == {"sfu"}
        assert set(stats) == {other.sid for other in tabs if other is not tab}


async def test_a_tab_with_another_room_secret_decodes_nothing_and_is_decoded_by_nobody(
    open_tab: Opener, room: str, forwarder: SFUProcess
) -> None:
    ada, bob = [await (await open_tab()).join(room) for _ in range(2)]
    eve = await (await open_tab()).join(room, secret=bytes(32))
    for tab, other in ((ada, bob), (bob, ada)):
        look = await tab.until(
            lambda look, other=other: (
                look["forwarded"] == 1
                and look["encryption"]["members"].get(eve.sid, {}).get("early", 0) > 50
                and opened(look, other.sid) > 50
            ),
            within=40,
        )
        assert opened(look, eve.sid) == 0
        await tab.flows()
    look = await eve.until(lambda look: look["forwarded"] == 1 and look["packetsReceived"] > 200, within=40)
    assert look["framesDecoded"] == 0
    assert look["samples"] == 0
    assert look["encryption"]["opened"] == 0
    assert not look["encryption"]["active"]


async def test_a_tab_that_comes_again_needs_no_reload_elsewhere(
    open_tab: Opener, room: str, forwarder: SFUProcess
) -> None:
    ada, bob, cid = await three(open_tab, room)
    await cid.page.evaluate("call.leave()")
    for tab in (ada, bob):
        await tab.until(lambda look: len(look["members"]["members"]) == 2)
        await tab.flows()
    again = await (await open_tab()).join(room)
    for tab in (ada, bob, again):
        await tab.until(moved, within=40)
    await hear_each_other((ada, bob, again))


async def test_a_screen_is_forwarded_while_it_is_shared(
    open_tab: Opener, room: str, forwarder: SFUProcess
) -> None:
    ada, bob, _ = await three(open_tab, room)
    await ada.page.evaluate(
        """async () => {
            const canvas = document.createElement('canvas')
            setInterval(() => canvas.getContext('2d').fillRect(0, 0, Math.random() * 300, 150), 100)
            await call.setTrack('screen', canvas.captureStream(10).getVideoTracks()[0])
            await call.setState({ screen: true })
        }"""
    )
    await bob.until(lambda look: len([frames for frames in look["perVideo"] if frames > 5]) == 3)
    before = len((await bob.look())["lost"])
    await ada.page.evaluate("call.setState({ screen: false })")
    look = await bob.until(lambda look: len(look["lost"]) > before)
    assert look["lost"][before:] == [f"{ada.sid}-screen"]
    await bob.flows()
    assert moved(await bob.look())


async def test_an_sfu_that_names_the_wrong_sender_shows_no_wrong_face(
    open_tab: Opener, room: str, forwarder: SFUProcess
) -> None:
    ada, bob = [await (await open_tab()).join(room) for _ in range(2)]
    misled = await open_tab()
    await misled.page.evaluate("misledBySfu()")
    await misled.join(room)
    for tab in (ada, bob):
        await tab.until(lambda look: look["forwarded"] == 1, within=40)
    look = await misled.until(
        lambda look: look["forwarded"] == 1 and look.get("encryption", {}).get("early", 0) > 200, within=40
    )
    packets, frames, samples = await misled.page.evaluate(BY_SFU)
    assert packets > 200
    assert (frames, samples) == (0, 0)
    assert look["descriptions"] < 20
    assert look["connections"] == 3, "what the SFU does not bring still comes directly"
    await misled.flows()


async def test_a_member_without_transforms_sends_the_sfu_no_packet(
    open_tab: Opener, room: str, forwarder: SFUProcess
) -> None:
    ada, bob = [await (await open_tab()).join(room) for _ in range(2)]
    bare = await open_tab()
    await bare.page.evaluate("withoutTransforms()")
    await bare.join(room)
    for tab in (ada, bob):
        await tab.until(lambda look: look["forwarded"] == 1, within=40)
    look = await bare.until(
        lambda look: (
            look["forwarded"] == 1 and look["framesEncoded"] > 30 and look["packetsReceived"] > 100
        ),
        within=40,
    )
    assert look["packetsSent"] == 0
    assert look["framesDecoded"] == 0
    await ada.flows()
