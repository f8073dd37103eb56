"""A page and headless members of another make in one call through the SFU."""

from __future__ import annotations

import asyncio

import pytest
from browser.conftest import Opener
from browser.sdk.tabs import SECRET
from browser.sfu.meeting import WITHIN, hears, opened
from callcluster_probe.clip import clip
from callcluster_probe.group_caller import GroupCaller
from callcluster_probe.member import MemberSettings
from kit.eventually import eventually
from kit.sfu_process import NEEDS_PLANE, SFUProcess
from kit.signaling_server import SignalingProcess

pytestmark = [
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
    NEEDS_PLANE,
]


async def test_a_page_sees_and_hears_headless_members_and_they_hear_it(
    open_tab: Opener, server: SignalingProcess, forwarder: SFUProcess, room: str
) -> None:
    settings = MemberSettings((server.url,), room, SECRET, name="Probe")
    members = [GroupCaller(number, settings, clip()) for number in (1, 2)]
    tab = await open_tab()
    await tab.join(room, media={"audio": True})
    try:
        for member in members:
            await member.join(60)
        await tab.until(lambda look: look["forwarded"] == 1, WITHIN)
        before = await tab.until(lambda look: "encryption" in look)
        sids = [member.member.sid for member in members]
        await tab.until(
            lambda look: all(opened(look, sid) > opened(before, sid) + 50 for sid in sids), WITHIN
        )
        look = await tab.until(
            lambda look: len([frames for frames in look["perVideo"] if frames > 5]) == 2, WITHIN
        )
        assert set(look["codecs"]) >= {"video/VP8"}
        await hears(tab)
        await eventually(
            lambda: all(member.opened(tab.sid, "mic") > 20 for member in members), within=WITHIN
        )
    finally:
        await asyncio.gather(*(member.close() for member in members))
