from __future__ import annotations

import base64

import pytest
from browser.conftest import Opener
from browser.sdk.tabs import SECRET, Look
from playwright.async_api import Error

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]


def others(look: Look) -> list[Look]:
    return [member for member in look["members"]["members"] if not member["isSelf"]]


async def test_two_members_see_and_hear_each_other_and_the_badge_is_on(open_tab: Opener, room: str) -> None:
    ada = await (await open_tab()).join(room, name="Ada")
    bob = await (await open_tab()).join(room, name="Bob")
    for tab, name in ((ada, "Bob"), (bob, "Ada")):
        await tab.flows()
        look = await tab.until(lambda look: look["encryption"]["active"])
        assert look["encryption"]["sealed"] > 0
        assert look["codecs"] == ["video/VP9"]
        (other,) = others(look)
        assert (other["name"], other["trusted"], other["verified"]) == (name, True, True)
        assert other["state"] == {"audio": True, "video": True, "screen": False, "hand": False}
    codes = {(await tab.look())["code"]["code"] for tab in (ada, bob)}
    assert len(codes) == 1
    stats = await ada.page.evaluate("call.stats()")
    assert stats["members"][bob.sid]["route"] == "direct"


async def test_wrong_room_secret_decodes_no_frame(open_tab: Opener, room: str) -> None:
    ada = await (await open_tab()).join(room, name="Ada")
    eve = await (await open_tab()).join(room, secret=bytes(32), name="Eve")
    for tab in (ada, eve):
        look = await tab.until(
            lambda look: look["packetsReceived"] > 200 and look["encryption"]["early"] > 50
        )
        assert look["framesDecoded"] == 0
        assert look["samples"] == 0
        assert look["encryption"]["opened"] == 0
        assert not look["encryption"]["active"]
        (other,) = others(look)
        assert (other["name"], other["trusted"], other["verified"]) == ("", False, False)


async def test_missing_transform_sends_no_packet(open_tab: Opener, room: str) -> None:
    ada = await (await open_tab()).join(room)
    bare = await open_tab()
    await bare.page.evaluate("withoutTransforms()")
    await bare.join(room)
    await bare.until(
        lambda look: look["packetsReceived"] > 100
    )  # the connection stands, the other side sends
    look = await bare.until(lambda look: look["framesEncoded"] > 30)
    assert look["packetsSent"] == 0
    assert look["framesDecoded"] == 0
    assert (await ada.look())["packetsReceived"] == 0


async def test_without_a_room_secret_members_are_unverified_until_the_code_is_confirmed(
    open_tab: Opener, room: str
) -> None:
    ada = await (await open_tab()).join(room, secret=None, name="Ada")
    bob = await (await open_tab()).join(room, secret=None, name="Bob")
    await ada.flows()
    look = await ada.until(lambda look: others(look)[0]["trusted"])
    assert others(look)[0]["verified"] is False
    assert others(look)[0]["name"] == ""
    assert look["code"] == (await bob.look())["code"]
    await ada.page.evaluate("call.confirmCode(call.securityCode)")
    await ada.until(lambda look: others(look)[0]["verified"])


async def test_vp8_keeps_its_clear_bytes_and_decodes(open_tab: Opener, room: str) -> None:
    tabs = [await open_tab(), await open_tab()]
    for tab in tabs:
        await tab.page.evaluate("onlyCodec('video/VP8')")
        await tab.join(room)
    for tab in tabs:
        look = await tab.flows()
        assert look["codecs"] == ["video/VP8"]


async def test_three_members_are_all_connected(open_tab: Opener, room: str) -> None:
    tabs = [await (await open_tab()).join(room) for _ in range(3)]
    for tab in tabs:
        await tab.until(
            lambda look: len([frames for frames in look["perVideo"] if frames > 5]) == 2, within=40
        )
    assert len({(await tab.look())["code"]["code"] for tab in tabs}) == 1


async def test_a_leave_takes_the_member_away_and_renews_the_keys(open_tab: Opener, room: str) -> None:
    ada, bob, cid = [await (await open_tab()).join(room) for _ in range(3)]
    await ada.until(lambda look: len([frames for frames in look["perVideo"] if frames > 5]) == 2, within=40)
    generation = (await ada.look())["keys"][-1] >> 8
    await cid.page.evaluate("call.leave()")
    look = await ada.until(lambda look: look["keys"][-1] >> 8 != generation)
    assert [other["sid"] for other in others(look)] == [bob.sid]
    assert look["connections"] == 1
    await ada.flows()
    await bob.flows()
    assert (await cid.look())["states"][-1] == {"state": "ended", "reason": "left"}


async def test_tracks_come_and_go_without_renegotiation(open_tab: Opener, room: str) -> None:
    ada = await (await open_tab()).join(room)
    bob = await (await open_tab()).join(room)
    await bob.flows()
    before = (await ada.look())["descriptions"]
    await ada.page.evaluate(
        """async () => {
            const canvas = document.createElement('canvas')
            setInterval(() => canvas.getContext('2d').fillRect(0, 0, Math.random() * 300, 150), 100)
            await call.setTrack('screen', canvas.captureStream(10).getVideoTracks()[0])
            await call.setState({ screen: true })
        }"""
    )
    await bob.until(lambda look: len([frames for frames in look["perVideo"] if frames > 5]) == 2)
    assert others(await bob.look())[0]["state"]["screen"] is True
    await ada.page.evaluate(
        "Promise.all(['mic', 'cam', 'screen'].map((source) => call.setTrack(source, null)))"
    )
    await ada.page.evaluate("call.setState({ audio: false, video: false, screen: false })")
    await bob.until(lambda look: not any(others(look)[0]["state"].values()))
    assert (await ada.look())["descriptions"] == before


async def test_messages_reach_the_others_and_open_only_with_the_secret(open_tab: Opener, room: str) -> None:
    ada, bob = [await (await open_tab()).join(room, media=False) for _ in range(2)]
    eve = await (await open_tab()).join(room, media=False, secret=bytes(32))
    await ada.page.evaluate("call.send({ text: 'grüße' })")
    look = await bob.until(lambda look: look["messages"])
    assert look["messages"] == [{"sid": ada.sid, "data": {"text": "grüße"}}]
    assert (await eve.look())["messages"] == []


async def test_no_key_secret_name_or_message_leaves_the_page(open_tab: Opener, room: str) -> None:
    ada = await (await open_tab()).join(room, name="Ada Canary")
    bob = await (await open_tab()).join(room, name="Bob Canary")
    await ada.flows()
    await ada.page.evaluate("call.send({ text: 'Message Canary' })")
    await bob.until(lambda look: look["messages"])
    await bob.page.evaluate("call.leave()")
    await ada.until(lambda look: len(look["keys"]) > 2)

    keys = [SECRET, *map(bytes, await ada.page.evaluate("seen.baseKeys"))]
    assert len(keys) > 3
    canaries = [
        "Canary",
        *(form for key in keys for form in (key.hex(), base64.b64encode(key).decode()[:40])),
    ]
    canaries += [base64.urlsafe_b64encode(key).decode()[:40] for key in keys]
    told = "\n".join(ada.told + bob.told)
    assert '"t":"key.send"' in told
    assert [canary for canary in canaries if canary in told] == []


async def test_a_browser_that_lacks_something_is_told_what_and_connects_to_nothing(
    open_tab: Opener, room: str
) -> None:
    tab = await open_tab()
    await tab.page.evaluate("delete window.RTCRtpScriptTransform")
    with pytest.raises(Error, match="lacks RTCRtpScriptTransform"):
        await tab.join(room)
    look = await tab.look()
    assert look["states"][-1] == {"state": "ended", "reason": "unsupported"}
    assert look["connections"] == 0


async def test_a_member_of_the_first_hour_is_trusted_by_who_comes_a_day_later(
    open_tab: Opener, room: str
) -> None:
    ada = await open_tab()
    await ada.page.evaluate(
        """() => {
            const { now } = Date
            window.ahead = -22 * 3_600_000
            Date.now = () => now() + ahead
        }"""
    )
    await ada.join(room, name="Ada")
    await ada.page.evaluate("ahead = 0")  # her bundle has one hour left: it is refreshed
    host = await (await open_tab()).join(room, name="Bob")
    await host.until(lambda look: others(look) and others(look)[0]["trusted"])
    look = await host.look()
    first = others(look)[0]
    late = await open_tab()
    await late.page.evaluate("(() => { const { now } = Date; Date.now = () => now() + 2 * 3_600_000 })()")
    await late.join(room, name="Cid")
    look = await late.until(lambda look: len(others(look)) == 2)
    trusted = {other["sid"]: other["trusted"] for other in others(look)}
    assert trusted[first["sid"]], "its refreshed bundle is in the roster"
