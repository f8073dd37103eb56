from __future__ import annotations

import secrets
import time

import jwt
import pytest
from browser.sdk.conftest import Opener
from kit.signaling_server import SECRET
from playwright.async_api import Error

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]


def token(room: str, *, moderator: bool = False) -> str:
    now = int(time.time())
    claims = {"sub": secrets.token_hex(4), "aud": "callcluster", "room": room, "iat": now, "exp": now + 600}
    return jwt.encode({**claims, "g": {"mod": moderator}}, SECRET, algorithm="HS256")


async def test_a_moderator_mutes_kicks_and_ends(open_tab: Opener, room: str) -> None:
    host = await (await open_tab()).join(room, media=False, token=token(room, moderator=True))
    ada = await (await open_tab()).join(room, media=False, token=token(room))
    bob = await (await open_tab()).join(room, media=False)

    await host.page.evaluate("sid => call.moderation.mute(sid, 'audio')", ada.sid)
    assert (await ada.until(lambda look: look["muteRequests"]))["muteRequests"] == ["audio"]

    await host.page.evaluate("sid => call.moderation.kick(sid)", bob.sid)
    look = await bob.until(lambda look: look["states"][-1]["state"] == "ended")
    assert look["states"][-1]["reason"] == "kicked"
    await ada.until(lambda look: len(look["members"]["members"]) == 2)

    await host.page.evaluate("call.moderation.end()")
    for tab in (ada, host):
        look = await tab.until(lambda look: look["states"][-1]["state"] == "ended")
        assert look["states"][-1]["reason"] == "ended"


async def test_who_may_not_is_told_the_code(open_tab: Opener, room: str) -> None:
    host = await (await open_tab()).join(room, media=False, token=token(room, moderator=True))
    ada = await (await open_tab()).join(room, media=False)
    code = await ada.page.evaluate("sid => call.moderation.kick(sid).catch(error => error.code)", host.sid)
    assert code == "forbidden"

    await host.page.evaluate("call.moderation.lock(true)")
    late = await open_tab()
    with pytest.raises(Error, match="SignalError"):
        await late.join(room, media=False)
    assert (await late.look())["states"][-1]["reason"] == "room_locked"


async def test_a_bad_token_ends_the_call_with_its_reason(open_tab: Opener, room: str) -> None:
    tab = await open_tab()
    with pytest.raises(Error, match="SignalError"):
        await tab.join(room, media=False, token="not.a.token")
    assert (await tab.look())["states"][-1] == {"state": "ended", "reason": "bad_token", "code": 4500}


async def test_a_closed_tab_is_gone_for_the_others_at_once(open_tab: Opener, room: str) -> None:
    ada = await (await open_tab()).join(room, media=False)
    bob = await (await open_tab()).join(room, media=False)
    await ada.until(lambda look: len(look["members"]["members"]) == 2)
    await bob.page.goto("about:blank")
    await ada.until(lambda look: len(look["members"]["members"]) == 1, within=5)
