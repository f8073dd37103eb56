"""Members and SFUs that are not what they should be: what reaches whom all the same."""

from __future__ import annotations

import pytest
from browser.conftest import Opener
from browser.sfu.conftest import Meeter
from browser.sfu.meeting import SOUND, WITHIN, hears, hears_tab, opened
from kit.eventually import eventually
from kit.sfu_process import NEEDS_PLANE, SFUProcess

pytestmark = [
    NEEDS_PLANE,
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.timeout(300),
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


async def test_a_tab_with_another_room_secret_decodes_nothing_and_is_decoded_by_nobody(
    open_tab: Opener, meet: Meeter, room: str, forwarder: SFUProcess
) -> None:
    ada = await (await open_tab()).join(room)
    eve = await (await open_tab()).join(room, secret=bytes(32))
    bob = await meet()
    look = await ada.until(
        lambda look: (
            look["forwarded"] == 1
            and "encryption" in look
            and look["encryption"]["members"].get(eve.sid, {}).get("early", 0) > 50
            and opened(look, bob.sid) > 50
        ),
        WITHIN,
    )
    assert opened(look, eve.sid) == 0
    assert look["framesDecoded"] == 0, "nobody else sends pictures"
    await hears(ada)
    await hears_tab(bob, ada)
    assert bob.arrived[eve.sid] > 50
    assert bob.opened[eve.sid] == 0
    look = await eve.until(
        lambda look: look["forwarded"] == 1 and "encryption" in look and look["packetsReceived"] > 200,
        WITHIN,
    )
    assert look["framesDecoded"] == 0
    assert look["samples"] == 0
    assert look["encryption"]["opened"] == 0
    assert not look["encryption"]["active"]


async def test_an_sfu_that_names_the_wrong_sender_shows_no_wrong_face(
    open_tab: Opener, room: str, forwarder: SFUProcess
) -> None:
    ada = await (await open_tab()).join(room)
    bob = await (await open_tab()).join(room, media=SOUND)
    misled = await open_tab()
    await misled.page.evaluate("misledBySfu()")
    await misled.join(room, media=SOUND)
    for tab in (ada, bob):
        await tab.until(lambda look: look["forwarded"] == 1, WITHIN)
    look = await misled.until(
        lambda look: look["forwarded"] == 1 and look.get("encryption", {}).get("early", 0) > 200, WITHIN
    )
    packets, frames, samples = await misled.page.evaluate(BY_SFU)
    assert packets > 200
    assert (frames, samples) == (0, 0)
    assert look["descriptions"] < 20
    assert look["connections"] == 3, "what the SFU does not bring still comes directly"
    await misled.flows(WITHIN)


async def test_a_member_without_transforms_sends_the_sfu_no_packet(
    open_tab: Opener, meet: Meeter, room: str, forwarder: SFUProcess
) -> None:
    ada, bob = await meet(), await meet()
    bare = await open_tab()
    await bare.page.evaluate("withoutTransforms()")
    await bare.join(room)
    look = await bare.until(
        lambda look: (
            look["forwarded"] == 1 and look["framesEncoded"] > 30 and look["packetsReceived"] > 100
        ),
        WITHIN,
    )
    assert look["packetsSent"] == 0
    assert look["framesDecoded"] == 0
    assert bare.sid not in ada.arrived
    assert bare.sid not in bob.arrived
    before = ada.mark()
    assert await eventually(lambda: ada.opened[bob.sid] > before[bob.sid] + 20, within=WITHIN)
