"""Every screen can be read, reached and operated: names, focus, contrast, small and large windows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from browser.app.chromium import by, chromium, complaints_of
from browser.app.steps import counts, joins, room_is
from playwright.async_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

AUDIT = (Path(__file__).parent / "audit.js").read_text()


async def show(page: Page, screen: str, origin: str) -> None:
    """Brings the page to one of its screens."""
    if screen == "start":
        await page.goto(f"{origin}/#r=room&k=damaged")
        await page.wait_for_selector(by("link-problem"))
        return
    await page.goto(f"{origin}/#r=room-1&k={'A' * 43}")
    await page.wait_for_selector(f"{by('preview')} video")
    if screen == "lobby":
        return
    await page.click(by("join"))
    await page.wait_for_selector(by("invitation"))
    if screen == "alone":
        return
    await joins(page)
    await joins(
        page, "peer-0003", name="Cy", trusted=False, state={"video": False, "audio": False, "hand": True}
    )
    await page.evaluate("callcluster.call.emit('code', { code: '11111 22222 33333 44444 55555 66666' })")
    await counts(page, 30, 30)
    if screen == "reconnecting":
        await page.evaluate("callcluster.call.emit('state', { state: 'reconnecting' })")
        await page.wait_for_selector(by("reconnecting"))
    elif screen == "ended":
        await page.evaluate("callcluster.call.emit('state', { state: 'ended', reason: 'room_full' })")
        await page.wait_for_selector(by("ended"))
    elif screen == "shortcuts":
        await page.keyboard.press("?")
        await page.wait_for_selector(by("dialog"))
    elif screen == "moderation":
        await room_is(page, mod=True, locked=True)
        await page.click(by("tile-moderate") + " >> nth=0")
        await page.wait_for_selector(by("member-actions"))
    elif screen == "removal":
        await room_is(page, mod=True)
        await page.click(by("tile-moderate") + " >> nth=0")
        await page.click(by("remove"))
        await page.wait_for_selector(by("dialog"))
    elif screen == "new code":
        await page.evaluate(
            "callcluster.call.emit('code', { code: '99999 22222 33333 44444 55555 66666' })"
        )
        await page.click(by("badge"))
        await page.wait_for_selector(by("code-changed"))
    elif screen != "call":
        await page.click(by("badge" if screen == "security" else f"open-{screen}"))
        await page.wait_for_selector(by(f"panel-{screen}"))


SCREENS = ["start", "lobby", "alone", "call", "people", "details", "security", "devices", "shortcuts"]
SCREENS += ["reconnecting", "ended", "moderation", "removal", "new code"]


SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.mark.parametrize("screen", SCREENS)
async def test_text_has_contrast_and_controls_have_names(page: Page, origin: str, screen: str) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await show(page, screen, origin)
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        assert await page.evaluate(AUDIT) == [], scheme


async def test_the_audit_finds_what_it_looks_for(page: Page) -> None:
    await page.evaluate(
        """() => {
            const bad = document.createElement('main')
            bad.innerHTML = '<button></button><input><p id="pale">pale text</p><ul><p></p></ul>'
            document.body.append(bad)
            bad.querySelector('#pale').style.color = '#bbbbbb'
        }"""
    )
    found = " ".join(await page.evaluate(AUDIT))
    for complaint in ("button has no name", "input has no name", "contrast", "2 main landmarks"):
        assert complaint in found, found


SIZES = ((360, 640), (390, 844), (768, 1024), (844, 390), (3840, 2160))
FRAME = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Resolves when what came before it is laid out and painted."""


@pytest.mark.parametrize("screen", ["start", "lobby", "alone", "call", "ended"])
async def test_nothing_is_cut_off_at_any_size(page: Page, origin: str, screen: str) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await show(page, screen, origin)
    for width, height in SIZES:
        await page.set_viewport_size({"width": width, "height": height})
        await page.evaluate(FRAME)
        overflow = await page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, width
        for testid in ("mic", "cam", "leave", "badge") if screen in {"alone", "call"} else ():
            box = await page.locator(by(testid)).bounding_box()
            assert box is not None, (testid, width)
            assert box["x"] >= 0, (testid, width)
            assert box["x"] + box["width"] <= width + 0.5, (testid, width)
            assert box["y"] + box["height"] <= height + 0.5, (testid, width)
            assert min(box["width"], box["height"]) >= 24, (testid, width)


async def test_everything_beside_the_main_controls_is_in_the_menu_of_a_narrow_window(
    page: Page, origin: str
) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await show(page, "call", origin)
    for panel in ("people", "security", "details", "devices"):
        await page.click(by("menu"))
        await page.click(by(f"menu-{panel}"))
        await page.wait_for_selector(by(f"panel-{panel}"))
        await page.keyboard.press("Escape")
        await expect(page.locator(by(f"panel-{panel}"))).to_have_count(0)


async def test_a_panel_takes_the_focus_and_gives_it_back(in_call: Page) -> None:
    await in_call.focus(by("open-details"))
    await in_call.keyboard.press("Enter")
    await in_call.wait_for_function("() => document.activeElement.id === 'panel-title'")
    await in_call.keyboard.press("Escape")
    await in_call.wait_for_function("() => document.activeElement.dataset.testid === 'open-details'")


async def test_the_dialog_keeps_the_focus_until_it_is_closed(in_call: Page) -> None:
    await in_call.keyboard.press("?")
    await in_call.wait_for_selector(by("dialog"))
    for _ in range(6):
        await in_call.keyboard.press("Tab")
        inside = (
            "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
        )
        assert await in_call.evaluate(inside)
    await in_call.keyboard.press("Escape")
    await expect(in_call.locator(by("dialog"))).to_have_count(0)


async def test_single_key_shortcuts_act_and_can_be_switched_off(in_call: Page) -> None:
    await in_call.keyboard.press("m")
    await in_call.wait_for_function("() => !callcluster.call.media.audio")
    await in_call.keyboard.press("?")
    await in_call.uncheck(by("use-shortcuts"))
    await in_call.click(by("close-dialog"))
    await in_call.keyboard.press("m")
    await in_call.keyboard.press("v")
    await in_call.click(by("hand-button"))
    await in_call.wait_for_function("() => callcluster.call.media.hand")
    assert await in_call.evaluate("callcluster.call.media") == {
        "audio": False, "video": True, "screen": False, "hand": True,
    }  # fmt: skip
    await in_call.click(by("shortcuts"))
    await in_call.check(by("use-shortcuts"))


async def test_letters_typed_into_a_field_are_no_shortcuts(in_call: Page) -> None:
    await in_call.focus(by("share-link"))
    await in_call.keyboard.press("m")
    await in_call.click(by("hand-button"))
    await in_call.wait_for_function("() => callcluster.call.media.hand")
    assert await in_call.evaluate("callcluster.call.media.audio") is True


async def test_comings_and_goings_are_announced(in_call: Page) -> None:
    announcer = in_call.locator("#announcer")
    await expect(announcer).to_have_attribute("aria-live", "polite")
    await joins(in_call)
    await expect(announcer.get_by_text("Bo joined.")).to_have_count(1)
    await in_call.evaluate("callcluster.call.setMembers(callcluster.call.members.slice(0, 1))")
    await expect(announcer.get_by_text("Bo left.")).to_have_count(1)


@pytest.fixture
async def still(origin: str) -> AsyncIterator[Page]:
    async with chromium(reduced_motion="reduce") as context:
        page = await context.new_page()
        complaints = await complaints_of(page)
        await page.goto(origin)
        yield page
        assert complaints == []


@pytest.mark.asyncio(loop_scope="function")
async def test_reduced_motion_moves_nothing(still: Page) -> None:
    durations = await still.evaluate(
        "() => [...document.querySelectorAll('*')].map((el) => getComputedStyle(el).transitionDuration)"
    )
    assert set(durations) == {"0s"}


@pytest.mark.asyncio(loop_scope="function")
async def test_reduced_motion_holds_in_a_call_and_before_it(still: Page, origin: str) -> None:
    await show(still, "removal", origin)
    moving = await still.evaluate(
        """() => [...document.querySelectorAll('*')].filter((el) => {
            const { transitionDuration, animationName } = getComputedStyle(el)
            return transitionDuration !== '0s' || animationName !== 'none'
        }).length"""
    )
    assert moving == 0
