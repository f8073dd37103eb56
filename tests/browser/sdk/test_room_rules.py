from __future__ import annotations

import secrets
import time

import jwt
import pytest
from browser.conftest import Opener
from kit.signaling_server import SECRET
from playwright.async_api import Error

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]


def token(room: str, **grants: object) -> str:
    now = int(time.time())
    claims = {"sub": secrets.token_hex(4), "aud": "callcluster", "room": room, "iat": now, "exp": now + 600}
    return jwt.encode({**claims, "g": grants}, SECRET, algorithm="HS256")


async def test_a_moderator_mutes_kicks_and_ends(open_tab: Opener, room: str) -> None:
    host = await (await open_tab()).join(room, media=False, token=token(room, mod=True))
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
    host = await (await open_tab()).join(room, media=False, token=token(room, mod=True))
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
    await ada.until(lambda look: len(look["members"]["members"]) == 1)


async def test_grants_and_the_lock_are_told(open_tab: Opener, room: str) -> None:
    host = await (await open_tab()).join(room, media=False, token=token(room, mod=True))
    ada = await (await open_tab()).join(room, media=False, token=token(room, pub=["mic"], msg=False))
    guest = await (await open_tab()).join(room, media=False)
    everything = ["mic", "cam", "screen"]
    for tab, pub, msg, mod in (
        (host, everything, True, True),
        (ada, ["mic"], False, False),
        (guest, everything, True, False),
    ):
        grants = {"pub": pub, "msg": msg, "mod": mod}
        assert (await tab.look())["room"] == {"locked": False, "grants": grants}
    await host.page.evaluate("call.moderation.lock(true)")
    for tab in (host, ada, guest):
        await tab.until(lambda look: look["room"]["locked"])


async def test_what_the_token_does_not_allow_is_neither_sent_nor_said_and_ends_no_call(
    open_tab: Opener, room: str
) -> None:
    ada = await (await open_tab()).join(room, token=token(room, pub=["mic"]))
    bob = await (await open_tab()).join(room)
    assert (await ada.look())["warnings"] == ["may_not_send"]
    look = await bob.until(lambda look: look["samples"] > 4_800)
    (other,) = [member for member in look["members"]["members"] if not member["isSelf"]]
    assert other["state"] == {"audio": True, "video": False, "screen": False, "hand": False}
    assert look["framesDecoded"] == 0
    code = await ada.page.evaluate(
        """async () => {
            const [track] = (await navigator.mediaDevices.getUserMedia({ video: true })).getTracks()
            return call.setTrack('cam', track).catch((error) => error.code)
        }"""
    )
    assert code == "forbidden"


async def test_a_call_that_is_left_holds_no_key_and_no_room_any_more(open_tab: Opener, room: str) -> None:
    ada = await (await open_tab()).join(room)
    bob = await (await open_tab()).join(room)
    await ada.flows()
    await ada.page.evaluate(
        """async () => {
            const { FrameCrypto } = await import('/sdk/frame_crypto.js')
            const { use } = FrameCrypto.prototype
            FrameCrypto.prototype.use = function (kid, baseKey) {
                window.lastKey = baseKey
                return use.call(this, kid, baseKey)
            }
        }"""
    )
    await bob.page.evaluate("call.leave()")
    await ada.page.wait_for_function("() => window.lastKey")
    await ada.page.evaluate("call.leave()")
    assert (
        await ada.page.evaluate("(() => { try { return lastKey.reveal() } catch { return 'wiped' } })()")
        == "wiped"
    )
    assert await ada.page.evaluate("call.selfSid") is None
    assert await ada.page.evaluate("call.send(1).catch(({ message }) => message)") != ""


async def test_a_call_that_is_left_before_it_is_joined_says_so(open_tab: Opener, room: str) -> None:
    tab = await open_tab()
    codes = await tab.page.evaluate(
        """async ({ url, room }) => {
            const { Call } = await import('/sdk/index.js')
            const codes = []
            for (const wait of [0, 20, 80, 160]) {
                const call = new Call({ url, room })
                const joining = call.join().catch(({ code }) => code ?? 'no code')
                await new Promise((go) => setTimeout(go, wait))
                call.leave()
                codes.push(await joining)
            }
            return codes
        }""",
        {"url": f"ws://localhost:{tab.port}", "room": room},
    )
    assert set(codes) <= {"left", "closed", None}
    assert codes[0] == "left"


async def test_a_state_that_does_not_get_through_ends_no_call(open_tab: Opener, room: str) -> None:
    tab = await open_tab()
    await tab.page.evaluate(
        """async () => {
            const { Signal, SignalError } = await import('/sdk/signal.js')
            const { request } = Signal.prototype
            window.refused = 0
            Signal.prototype.request = function (type, content) {
                if (type !== 'state') return request.call(this, type, content)
                window.refused += 1
                return Promise.reject(new SignalError('unavailable', 'the bus is out of reach'))
            }
        }"""
    )
    await tab.join(room)
    bob = await (await open_tab()).join(room)
    await bob.flows()
    assert await tab.page.evaluate("refused") == 1
    assert (await tab.look())["states"][-1]["state"] == "joined"
