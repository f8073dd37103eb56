"""The page during a call: what it shows of what the SDK says, and what it tells the SDK."""

from __future__ import annotations

import pytest
from browser.app.chromium import by, frames_advance
from browser.app.steps import PEER, REMOTE_VIDEO, change, counts, joins
from playwright.async_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


async def test_alone_the_page_offers_the_link(in_call: Page) -> None:
    assert await in_call.input_value(by("share-link")) == in_call.url
    await in_call.click(by("copy-link"))
    await expect(in_call.locator(by("toast"))).to_contain_text("Link copied")
    assert await in_call.evaluate("navigator.clipboard.readText()") == in_call.url
    await joins(in_call)
    await expect(in_call.locator(by("invitation"))).to_have_count(0)


async def test_the_link_for_others_leaves_the_own_token_out(page: Page, origin: str) -> None:
    await page.goto(f"{origin}/#r=room&k={'A' * 43}&t=personal-token")
    await page.click(by("join"))
    await page.wait_for_selector(by("invitation"))
    link = await page.input_value(by("share-link"))
    assert "personal-token" not in link
    assert f"k={'A' * 43}" in link


async def test_another_member_is_seen_moving(in_call: Page) -> None:
    await joins(in_call)
    await frames_advance(in_call, REMOTE_VIDEO)
    await expect(in_call.locator(by("tile-cam"))).to_contain_text("Bo")


async def test_tiles_keep_their_video_while_others_come_and_go(in_call: Page) -> None:
    await joins(in_call)
    await in_call.evaluate("selector => { document.querySelector(selector).marked = true }", REMOTE_VIDEO)
    await joins(in_call, "peer-0003")
    await joins(in_call, "peer-0004")
    await in_call.evaluate("() => callcluster.call.setMembers(callcluster.call.members.slice(0, 2))")
    await expect(in_call.locator(by("tile-cam"))).to_have_count(1)
    assert await in_call.evaluate("selector => document.querySelector(selector).marked", REMOTE_VIDEO)
    await frames_advance(in_call, REMOTE_VIDEO)


async def test_muting_keeps_the_microphone_and_tells_the_others(in_call: Page) -> None:
    await in_call.click(by("mic"))
    await in_call.wait_for_function("() => callcluster.call.media.audio === false")
    assert await in_call.evaluate("callcluster.call.sent.mic.enabled") is False
    await in_call.click(by("mic"))
    await in_call.wait_for_function(
        "() => callcluster.call.media.audio && callcluster.call.sent.mic.enabled"
    )


async def test_camera_off_stops_the_device_and_sends_nothing(in_call: Page) -> None:
    camera = await in_call.evaluate_handle("callcluster.call.sent.cam")
    await in_call.click(by("cam"))
    await in_call.wait_for_function(
        "() => callcluster.call.sent.cam === null && !callcluster.call.media.video"
    )
    assert await camera.evaluate("track => track.readyState") == "ended"
    await in_call.click(by("cam"))
    await in_call.wait_for_function("() => callcluster.call.sent.cam?.readyState === 'live'")


async def test_a_shared_screen_has_its_own_large_tile(in_call: Page) -> None:
    await joins(in_call)
    await change(in_call, screen=True)
    await in_call.wait_for_selector(f"{by('tile-screen')} video")

    await in_call.wait_for_function(
        """([screen, camera]) => {
            const width = (selector) => document.querySelector(selector).getBoundingClientRect().width
            return width(screen) > 2 * width(camera)
        }""",
        arg=[by("tile-screen"), by("tile-cam")],
    )
    await change(in_call, screen=False)
    await expect(in_call.locator(by("tile-screen"))).to_have_count(0)


async def test_others_see_muted_raised_hands_and_cameras_that_are_off(in_call: Page) -> None:
    await joins(in_call)
    await change(in_call, audio=False, video=False, hand=True)
    tile = in_call.locator(by("tile-cam"))
    await expect(tile.locator(by("muted"))).to_be_visible()
    await expect(tile.locator(by("hand"))).to_be_visible()
    await expect(tile.locator("video")).to_have_count(0)
    await expect(tile).to_have_attribute("aria-label", "Bo: muted, camera off, hand raised")


async def test_the_badge_follows_the_counters_and_nothing_else(in_call: Page) -> None:
    badge = in_call.locator(by("badge"))
    await expect(badge).to_have_attribute("data-state", "waiting")
    await joins(in_call)
    await counts(in_call, 0, 0, active=False)
    await expect(badge).to_have_attribute("data-state", "starting")
    await counts(in_call, 30, 30)
    await expect(badge).to_have_text("Encrypted")
    await counts(in_call, 60, 31, 30)
    await counts(in_call, 90, 31, 60)
    await expect(badge).to_have_text("Problem")


async def test_frames_that_come_before_their_key_are_told_apart_and_raise_no_alarm(in_call: Page) -> None:
    badge = in_call.locator(by("badge"))
    await joins(in_call)
    await counts(in_call, 30, 0, early=40, active=False)
    await counts(in_call, 60, 0, early=90, active=False)
    await counts(in_call, 90, 0, early=140, active=False)
    await expect(badge).to_have_attribute("data-state", "starting")
    await counts(in_call, 120, 30, early=150)
    await expect(badge).to_have_text("Encrypted")
    await in_call.click(by("badge"))
    table = in_call.locator(by("counters"))
    await expect(table).to_contain_text("Came before their key150")
    await expect(table).to_contain_text("Refused0")
    await in_call.evaluate("sid => { callcluster.call.measured = { [sid]: { rttMs: 1 } } }", PEER)
    await in_call.keyboard.press("d")
    await expect(in_call.locator(by("fact-early"))).to_have_text("150")
    await expect(in_call.locator(by("fact-failed"))).to_have_count(0)


async def test_unverified_members_are_named_until_the_code_is_compared(in_call: Page) -> None:
    await joins(in_call, verified=False)
    await counts(in_call, 30, 30)
    await expect(in_call.locator(by("badge"))).to_have_text("Unverified")
    await in_call.keyboard.press("p")
    await expect(in_call.locator(by("person")).nth(1)).to_contain_text("Unverified")
    await in_call.click(by("badge"))
    await in_call.evaluate("callcluster.call.emit('code', { code: '11111 22222 33333 44444 55555 66666' })")
    await expect(in_call.locator(f"{by('security-code')} span")).to_have_count(6)
    await in_call.click(by("code-match"))
    await expect(in_call.locator(by("panel-security"))).to_contain_text("You confirmed this code")
    assert await in_call.evaluate("callcluster.call.confirmed") == 1


async def test_a_confirmed_code_does_not_vouch_for_the_next_one(in_call: Page) -> None:
    await joins(in_call)
    await in_call.click(by("badge"))
    await in_call.evaluate("callcluster.call.emit('code', { code: '11111 22222 33333 44444 55555 66666' })")
    await in_call.click(by("code-match"))
    await in_call.evaluate("callcluster.call.emit('code', { code: '99999 22222 33333 44444 55555 66666' })")
    await in_call.wait_for_selector(by("code-match"))


async def test_a_click_meant_for_the_code_before_vouches_for_nobody(in_call: Page) -> None:
    await joins(in_call)
    await in_call.click(by("badge"))
    await in_call.evaluate("callcluster.call.emit('code', { code: '11111 22222 33333 44444 55555 66666' })")
    await expect(in_call.locator(by("code-match"))).to_be_enabled()
    await in_call.evaluate("callcluster.call.emit('code', { code: '99999 22222 33333 44444 55555 66666' })")
    await expect(in_call.locator(by("code-match"))).to_be_disabled()
    await expect(in_call.locator(by("code-changed"))).to_contain_text("Compare this one")
    await in_call.click(by("code-match"))  # enabled again, after a moment
    assert await in_call.evaluate("callcluster.call.confirmed") == 1


async def test_codes_that_differ_advise_to_leave_and_vouch_for_nobody(in_call: Page) -> None:
    await joins(in_call)
    await in_call.click(by("badge"))
    await in_call.evaluate("callcluster.call.emit('code', { code: '11111 22222 33333 44444 55555 66666' })")
    await in_call.click(by("code-differ"))
    await expect(in_call.locator('[role="alert"]')).to_contain_text("someone may be listening in")
    assert await in_call.evaluate("callcluster.call.confirmed") == 0


async def test_a_lost_connection_shows_a_banner_until_it_is_back(in_call: Page) -> None:
    await joins(in_call)
    await in_call.evaluate("callcluster.call.emit('state', { state: 'reconnecting' })")
    await expect(in_call.locator(by("reconnecting"))).to_be_visible()
    await frames_advance(in_call, REMOTE_VIDEO)
    await in_call.evaluate("callcluster.call.emit('state', { state: 'joined' })")
    await expect(in_call.locator(by("reconnecting"))).to_have_count(0)


async def test_details_say_route_rate_and_delay_of_each_member(in_call: Page) -> None:
    await joins(in_call)
    stats = {
        "route": "relay",
        "protocol": "udp",
        "rttMs": 42.4,
        "sendKbps": 1234,
        "receiveKbps": 567,
        "codec": "VP9",
        "lost": 7,
        "localCandidateType": "relay",
        "remoteCandidateType": "host",
    }
    await in_call.evaluate(
        "([sid, stats]) => { callcluster.call.measured = { [sid]: stats } }", [PEER, stats]
    )
    await in_call.keyboard.press("d")
    await expect(in_call.locator(by("route"))).to_contain_text("Relayed")
    for fact, value in {"rtt": "42 ms", "send": "1.2 Mbit/s", "receive": "567 kbit/s", "lost": "7"}.items():
        await expect(in_call.locator(by(f"fact-{fact}"))).to_have_text(value)
    await in_call.click(by("copy-report"))
    await expect(in_call.locator(by("toast"))).to_contain_text("Report copied")
    report = await in_call.evaluate("navigator.clipboard.readText()")
    assert "relay" in report
    assert "Bo" not in report
    assert PEER not in report


@pytest.mark.parametrize(
    ("kind", "says"), [("audio", "muted your microphone"), ("video", "turned your camera off")]
)
async def test_a_moderators_request_mutes(in_call: Page, kind: str, says: str) -> None:
    await in_call.evaluate("kind => callcluster.call.emit('mute-request', { kind })", kind)
    await in_call.wait_for_function("kind => callcluster.call.media[kind] === false", arg=kind)
    await expect(in_call.locator(by("toast"))).to_contain_text(says)


async def test_another_microphone_chosen_while_muted_is_never_heard(in_call: Page) -> None:
    await in_call.click(by("mic"))
    await in_call.wait_for_function("() => callcluster.call.media.audio === false")
    await in_call.evaluate(
        """() => {
            const { call } = callcluster
            const before = call.sent.mic
            call.heard = []
            call.setTrack = async (source, track) => {
                call.sent[source] = track
                if (track) call.heard.push(track.enabled)
            }
            call.setState = async (state) => call.heard.push(state.audio)
            call.changed = () => call.sent.mic && call.sent.mic !== before
        }"""
    )
    await in_call.click(by("open-devices"))
    await in_call.select_option(by("device-mic"), index=1)
    await in_call.wait_for_function("() => callcluster.call.changed()")
    assert not any(await in_call.evaluate("callcluster.call.heard"))
    await expect(in_call.locator(by("mic"))).to_have_attribute("aria-label", "Unmute")


async def test_a_device_that_goes_away_is_told(in_call: Page) -> None:
    await in_call.evaluate("callcluster.call.sent.mic.dispatchEvent(new Event('ended'))")
    await expect(in_call.locator(by("toast"))).to_contain_text("microphone was disconnected")
    await in_call.wait_for_function("() => callcluster.call.media.audio === false")


async def test_warnings_are_in_words_for_the_person(in_call: Page) -> None:
    await in_call.evaluate(
        "callcluster.call.emit('warning', { code: 'token_expiring', message: 'call renewToken().' })"
    )
    await expect(in_call.locator(by("toast"))).to_contain_text("Your invitation expires")
    await expect(in_call.locator(by("toast"))).not_to_contain_text("renewToken")


async def test_leaving_frees_the_devices_and_offers_to_return(in_call: Page) -> None:
    tracks = await in_call.evaluate_handle("Object.values(callcluster.call.sent).filter(Boolean)")
    await in_call.click(by("leave"))
    await expect(in_call.locator(by("ended"))).to_have_attribute("data-code", "left")
    assert await tracks.evaluate("tracks => tracks.map((track) => track.readyState)") == ["ended", "ended"]
    await in_call.click(by("step-rejoin"))
    await in_call.wait_for_selector(f"{by('preview')} video")


@pytest.mark.parametrize(
    ("reason", "title"),
    [
        ("kicked", "You were removed from the call"),
        ("ended", "The call has ended"),
        ("token_expired", "This invitation has expired"),
        ("timeout of a kind nobody knows", "The connection was lost"),
    ],
)
async def test_an_ended_call_says_why_and_frees_the_devices(in_call: Page, reason: str, title: str) -> None:
    tracks = await in_call.evaluate_handle("Object.values(callcluster.call.sent).filter(Boolean)")
    await in_call.evaluate("reason => callcluster.call.emit('state', { state: 'ended', reason })", reason)
    await expect(in_call.locator("h1")).to_have_text(title)
    assert await in_call.evaluate("document.activeElement.tagName") == "H1"
    assert await tracks.evaluate("tracks => tracks.map((track) => track.readyState)") == ["ended", "ended"]


@pytest.mark.parametrize(
    ("refusal", "title"),
    [("room_full", "This call is full"), ("not_authenticated", "You need an invitation")],
)
async def test_a_refused_join_says_why(page: Page, refusal: str, title: str) -> None:
    await page.evaluate("refusal => sessionStorage.setItem('refusal', refusal)", refusal)
    await page.click(by("start-call"))
    await page.click(by("join"))
    await expect(page.locator("h1")).to_have_text(title)


async def test_another_link_in_the_address_bar_leaves_this_call(in_call: Page, origin: str) -> None:
    call = await in_call.evaluate_handle("callcluster.call")
    ended = await call.evaluate_handle(
        """call => {
            const seen = []
            call.addEventListener('state', ({ detail }) => seen.push(detail.reason))
            return seen
        }"""
    )
    await in_call.goto(f"{origin}/#r=another&k={'B' * 42}A")
    await in_call.wait_for_selector(by("lobby"))
    assert await ended.json_value() == ["left"]
