"""Two tabs, the real SDK and the real server: what one person does, the other one sees."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import jwt
import pytest
import pytest_asyncio
from browser.app.chromium import by, chromium, complaints_of, frames_advance
from browser.app.steps import REMOTE_VIDEO
from browser.sdk.wire import Wire
from kit.signaling_server import SECRET, signaling
from playwright.async_api import BrowserContext, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Place:
    """A browser and a line to a server that can be cut."""

    wire: Wire
    browser: BrowserContext

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.wire.port}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Place]:
    with signaling(GUEST_ACCESS="true") as server:
        async with Wire(server.port) as wire, chromium() as browser:
            yield Place(wire, browser)


async def enters(page: Page, name: str) -> None:
    await page.wait_for_selector(f"{by('preview')} video")
    await page.fill(by("name"), name)
    await page.click(by("join"))
    await page.wait_for_selector(f"{by('call')}[data-phase=joined]")


@contextlib.asynccontextmanager
async def two(place: Place) -> AsyncIterator[tuple[Page, Page]]:
    """Ada starts a call, Bo joins by the link that her page shows, and each sees the other one move."""
    ada, bo = await place.browser.new_page(), await place.browser.new_page()
    complaints = [await complaints_of(ada), await complaints_of(bo)]
    await ada.goto(place.origin)
    await ada.click(by("start-call"))
    await enters(ada, "Ada")
    await bo.goto(await ada.input_value(by("share-link")))
    await enters(bo, "Bo")
    for page in (ada, bo):
        await frames_advance(page, REMOTE_VIDEO)
    yield ada, bo
    for page in (ada, bo):
        await page.close()
    assert [line for lines in complaints for line in lines if "WebSocket" not in line] == []


@pytest_asyncio.fixture(scope="class", loop_scope="module")
async def call(place: Place) -> AsyncIterator[tuple[Page, Page]]:
    """Ada and Bo, as long as the tests of one class last."""
    async with two(place) as pages:
        yield pages


class TestInOneCall:
    """Each leaves the call as it found it."""

    async def test_two_people_see_each_other_encrypted_and_with_the_same_code(
        self, call: tuple[Page, Page]
    ) -> None:
        codes = set()
        for page, other in zip(call, ("Bo", "Ada"), strict=True):
            await expect(page.locator(by("tile-cam"))).to_contain_text(other)
            await expect(page.locator(by("badge"))).to_have_text("Encrypted")
            await page.click(by("badge"))
            await expect(page.locator(f"{by('security-code')} span")).to_have_count(6)
            codes.add(await page.text_content(by("security-code")))
            await page.keyboard.press("Escape")
        assert len(codes) == 1

    async def test_two_people_hear_each_other(self, call: tuple[Page, Page]) -> None:
        for page in call:
            await page.wait_for_selector(f"{by('tile-cam')}.speaking")

    async def test_the_details_tell_the_way_of_the_media(self, call: tuple[Page, Page]) -> None:
        ada, _ = call
        await ada.keyboard.press("d")
        await expect(ada.locator(by("route"))).to_have_attribute("data-route", "direct")
        await expect(ada.locator(by("fact-codec"))).to_have_text("VP9")
        await expect(ada.locator(by("fact-receive"))).not_to_have_text("0 kbit/s")
        await ada.keyboard.press("d")

    async def test_muting_and_camera_off_are_seen_by_the_other(self, call: tuple[Page, Page]) -> None:
        ada, bo = call
        await ada.keyboard.press("m")
        await expect(bo.locator(f"{by('tile-cam')} {by('muted')}")).to_be_visible()
        await ada.keyboard.press("v")
        await expect(bo.locator(REMOTE_VIDEO)).to_have_count(0)
        await ada.keyboard.press("v")
        await frames_advance(bo, REMOTE_VIDEO)
        await ada.keyboard.press("m")
        await expect(bo.locator(f"{by('tile-cam')} {by('muted')}")).to_have_count(0)

    async def test_a_shared_screen_is_seen_by_the_other(self, call: tuple[Page, Page]) -> None:
        ada, bo = call
        await ada.keyboard.press("s")
        await frames_advance(bo, f"{by('tile-screen')} video")
        await ada.keyboard.press("s")
        await expect(bo.locator(by("tile-screen"))).to_have_count(0)

    async def test_a_lost_connection_is_bridged_without_a_reload(
        self, place: Place, call: tuple[Page, Page]
    ) -> None:
        ada, bo = call
        for page in (ada, bo):
            await page.evaluate("globalThis.loaded = 'once'")
        asked: list[str] = []
        ada.on("request", lambda request: asked.append(request.url))
        place.wire.cut()
        for page in (ada, bo):
            await page.wait_for_selector(by("reconnecting"))
        for key in ("m", "m", "h", "h", "p", "Escape"):
            await ada.keyboard.press(key)
        for page in (ada, bo):
            await frames_advance(page, REMOTE_VIDEO)
        assert asked == [], "the page needs files of a server that is out of reach"
        place.wire.mend()
        for page in (ada, bo):
            await expect(page.locator(by("reconnecting"))).to_have_count(0)
            await frames_advance(page, REMOTE_VIDEO)
            await expect(page.locator(by("tile-cam"))).to_have_count(1)
            assert await page.evaluate("globalThis.loaded") == "once"
        await ada.keyboard.press("m")
        await expect(bo.locator(f"{by('tile-cam')} {by('muted')}")).to_be_visible()
        await ada.keyboard.press("m")
        await expect(bo.locator(f"{by('tile-cam')} {by('muted')}")).to_have_count(0)

    async def test_a_page_that_the_browser_puts_aside_has_left_when_it_is_shown_again(
        self, call: tuple[Page, Page]
    ) -> None:
        ada, bo = call
        await bo.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
        await expect(ada.locator(by("tile-cam"))).to_have_count(0)
        await expect(bo.locator(by("ended"))).to_have_attribute("data-code", "left")
        await bo.click(by("step-rejoin"))
        await enters(bo, "Bo")
        await frames_advance(ada, REMOTE_VIDEO)


async def test_who_leaves_is_gone_and_announced(place: Place) -> None:
    async with two(place) as (ada, bo):
        await bo.click(by("leave"))
        await bo.wait_for_selector(by("ended"))
        await expect(ada.locator(by("tile-cam"))).to_have_count(0)
        await expect(ada.locator("#announcer")).to_contain_text("Bo left.")
        await ada.wait_for_selector(by("invitation"))


async def test_without_a_secret_the_call_stays_unverified_until_the_code_is_confirmed(place: Place) -> None:
    pages = [await place.browser.new_page() for _ in range(2)]
    for page in pages:
        await page.goto(f"{place.origin}/#r=no-secret-here")
        await enters(page, "Nobody sees this")
    for page in pages:
        await expect(page.locator(by("badge"))).to_have_text("Unverified")
        await expect(page.locator(by("tile-cam"))).to_contain_text("Guest")
        await page.click(by("badge"))
        await page.click(by("code-match"))
        await expect(page.locator(by("badge"))).to_have_text("Encrypted")
    for page in pages:
        await page.close()


async def test_who_comes_with_another_secret_is_shut_out_and_sees_nothing(place: Place) -> None:
    ada, mallory = await place.browser.new_page(), await place.browser.new_page()
    await ada.goto(f"{place.origin}/#r=guarded&k={'A' * 43}")
    await enters(ada, "Ada")
    await mallory.goto(f"{place.origin}/#r=guarded&k={'B' * 42}A")
    await enters(mallory, "Mallory")
    for page in (ada, mallory):
        await expect(page.locator(by("badge"))).to_have_text("Stranger")
        await expect(page.locator(by("tile-cam"))).to_contain_text("Shut out")
        assert await page.evaluate(f"document.querySelector('{REMOTE_VIDEO}')?.videoWidth ?? 0") == 0
    for page in (ada, mallory):
        await page.close()


def invitation(room: str, **grants: object) -> str:
    """The fragment of a personal link."""
    now = int(time.time())
    claims = {"sub": secrets.token_hex(4), "aud": "callcluster", "room": room, "iat": now, "exp": now + 600}
    return f"#r={room}&k={'A' * 43}&t={jwt.encode({**claims, 'g': grants}, SECRET, algorithm='HS256')}"


async def test_a_moderator_mutes_locks_and_removes_and_the_others_live_with_it(place: Place) -> None:
    host, bo, late = [await place.browser.new_page() for _ in range(3)]
    await host.goto(f"{place.origin}/{invitation('moderated', mod=True)}")
    await enters(host, "Host")
    await bo.goto(f"{place.origin}/#r=moderated&k={'A' * 43}")
    await enters(bo, "Bo")
    await frames_advance(host, REMOTE_VIDEO)

    await host.click(by("tile-moderate"))
    await host.click(by("mute-audio"))
    await expect(bo.locator(by("mic"))).to_have_attribute("aria-label", "Unmute")
    await expect(host.locator(f"{by('tile-cam')} {by('muted')}")).to_be_visible()

    await host.click(by("lock"))
    for page in (host, bo):
        await page.wait_for_selector(by("locked"))
    await late.goto(f"{place.origin}/#r=moderated&k={'A' * 43}")
    await late.wait_for_selector(f"{by('preview')} video")
    await late.click(by("join"))
    await expect(late.locator(by("ended"))).to_have_attribute("data-code", "room_locked")

    await host.click(by("remove"))
    await host.click(by("confirm"))
    await expect(bo.locator(by("ended"))).to_have_attribute("data-code", "kicked")
    await expect(host.locator(by("tile-cam"))).to_have_count(0)
    for page in (host, bo, late):
        await page.close()


async def test_an_invitation_without_the_camera_joins_and_sends_none(place: Place) -> None:
    ada, bo = [await place.browser.new_page() for _ in range(2)]
    await ada.goto(f"{place.origin}/{invitation('no-camera', pub=['mic'])}")
    await enters(ada, "Ada")
    await expect(ada.locator(by("toast"))).to_contain_text("let you use the camera")
    await bo.goto(f"{place.origin}/#r=no-camera&k={'A' * 43}")
    await enters(bo, "Bo")
    await bo.wait_for_selector(f"{by('tile-cam')}.speaking")
    await expect(bo.locator(REMOTE_VIDEO)).to_have_count(0)
    await frames_advance(ada, REMOTE_VIDEO)
    for page in (ada, bo):
        await page.close()
