"""Calls whose SFU is lost: another one, or members among themselves, take over."""

from __future__ import annotations

import pytest
from browser.conftest import Opener
from browser.sdk.tabs import Look
from browser.sfu.meeting import hear_each_other, moved, three
from kit.redis_server import RedisServer
from kit.sfu_process import NEEDS_PLANE, sfu

pytestmark = [
    NEEDS_PLANE,
    pytest.mark.browser,
    pytest.mark.redis,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]


def direct(look: Look) -> bool:
    """Each of two others is connected by a connection of its own."""
    return bool(look["connections"] - look["forwarded"] == 2)


async def test_without_the_sfu_members_are_connected_directly_until_there_is_one_again(
    open_tab: Opener, room: str, redis: RedisServer
) -> None:
    with sfu(redis.url) as first:
        tabs = await three(open_tab, room)
        first.kill()
        for tab in tabs:
            await tab.until(direct, within=60)
        await hear_each_other(tabs)
    with sfu(redis.url):
        for tab in tabs:
            await tab.until(moved, within=40)
        await hear_each_other(tabs)
