"""What a moderator can do on the page, by mouse and by keyboard, and what others see of it."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from browser.app.chromium import by
from browser.app.steps import PEER, change, joins, room_is, tab_to
from playwright.async_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


async def asked(page: Page) -> Any:
    return await page.evaluate("callcluster.call.asked")


async def focus_is_on(page: Page, testid: str) -> None:
    await page.wait_for_function("testid => document.activeElement?.dataset.testid === testid", arg=testid)


@pytest_asyncio.fixture(loop_scope="module")
async def moderating(in_call: Page) -> Page:
    await joins(in_call)
    await room_is(in_call, mod=True)
    await in_call.wait_for_selector(by("tile-moderate"))
    return in_call


async def test_who_may_not_moderate_sees_no_such_thing(in_call: Page) -> None:
    await joins(in_call)
    await in_call.click(by("open-people"))
    await in_call.wait_for_selector(by("panel-people"))
    for testid in ("moderate", "tile-moderate", "call-actions"):
        await expect(in_call.locator(by(testid))).to_have_count(0)


async def test_a_tile_opens_the_actions_on_its_member(moderating: Page) -> None:
    await moderating.click(by("tile-moderate"))
    actions = moderating.locator(by("member-actions"))
    await expect(actions).to_have_attribute("aria-label", "Actions on Bo")
    await focus_is_on(moderating, "mute-audio")
    await moderating.click(by("mute-audio"))
    await expect(moderating.locator(by("toast"))).to_contain_text("Bo was asked")
    assert await asked(moderating) == [["mute", PEER, "audio"]]


async def test_only_what_a_member_sends_can_be_stopped(moderating: Page) -> None:
    await moderating.click(by("tile-moderate"))
    for testid, count in (("mute-audio", 1), ("mute-video", 1), ("mute-screen", 0)):
        await expect(moderating.locator(by(testid))).to_have_count(count)
    await change(moderating, audio=False, screen=True)
    for testid, count in (("mute-audio", 0), ("mute-video", 1), ("mute-screen", 1)):
        await expect(moderating.locator(by(testid))).to_have_count(count)


async def test_a_member_is_removed_only_after_a_second_word(moderating: Page) -> None:
    await moderating.click(by("tile-moderate"))
    await moderating.click(by("remove"))
    await expect(moderating.locator(by("dialog"))).to_contain_text("Remove Bo from the call?")
    await focus_is_on(moderating, "cancel")
    await moderating.keyboard.press("Enter")
    await expect(moderating.locator(by("dialog"))).to_have_count(0)
    assert await asked(moderating) == []
    await moderating.click(by("remove"))
    await moderating.click(by("confirm"))
    await expect(moderating.locator(by("dialog"))).to_have_count(0)
    assert await asked(moderating) == [["kick", PEER, 0]]


async def test_a_removed_member_can_be_kept_out_for_a_while(moderating: Page) -> None:
    await moderating.click(by("tile-moderate"))
    await moderating.click(by("remove"))
    await moderating.check(by("ban"))
    await moderating.click(by("confirm"))
    await moderating.wait_for_function("() => callcluster.call.asked.length === 1")
    assert await asked(moderating) == [["kick", PEER, 3_600]]


async def test_who_leaves_takes_the_question_along_and_the_focus_stays_in_the_panel(
    moderating: Page,
) -> None:
    await moderating.click(by("tile-moderate"))
    await moderating.click(by("remove"))
    await moderating.wait_for_selector(by("dialog"))
    await moderating.evaluate("callcluster.call.setMembers(callcluster.call.members.slice(0, 1))")
    await expect(moderating.locator(by("dialog"))).to_have_count(0)
    await expect(moderating.locator(by("member-actions"))).to_have_count(0)
    await moderating.wait_for_function("() => document.activeElement.id === 'panel-title'")


async def test_the_call_is_locked_and_unlocked_and_everybody_sees_it(moderating: Page) -> None:
    await moderating.click(by("open-people"))
    await moderating.click(by("lock"))
    await room_is(moderating, mod=True, locked=True)
    await expect(moderating.locator(by("locked"))).to_be_visible()
    await expect(moderating.locator("#announcer")).to_contain_text("The call is locked.")
    await moderating.click(by("lock"))
    await room_is(moderating, mod=True, locked=False)
    await expect(moderating.locator(by("locked"))).to_have_count(0)
    assert await asked(moderating) == [["lock", True], ["lock", False]]


async def test_the_call_is_ended_for_everyone_only_after_a_second_word(moderating: Page) -> None:
    await moderating.click(by("open-people"))
    await moderating.click(by("end"))
    await expect(moderating.locator(by("dialog"))).to_contain_text("End the call for everyone?")
    assert await asked(moderating) == []
    await moderating.click(by("confirm"))
    await moderating.wait_for_function("() => callcluster.call.asked.length === 1")
    assert await asked(moderating) == [["end"]]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("forbidden", "let you do that"),
        ("no_such_member", "left already"),
        ("unavailable", "Try again"),
    ],
)
async def test_a_refused_action_says_why(moderating: Page, code: str, says: str) -> None:
    await moderating.evaluate("code => { callcluster.call.refusal = code }", code)
    await moderating.click(by("tile-moderate"))
    await moderating.click(by("mute-video"))
    await expect(moderating.locator(by("toast"))).to_contain_text(says)


async def test_a_moderator_needs_no_mouse(moderating: Page) -> None:
    await moderating.keyboard.press("p")
    await tab_to(moderating, "moderate")
    await moderating.keyboard.press("Enter")
    await focus_is_on(moderating, "mute-audio")
    await moderating.keyboard.press("Enter")
    await tab_to(moderating, "remove")
    await moderating.keyboard.press("Enter")
    await focus_is_on(moderating, "cancel")
    await moderating.keyboard.press("Escape")
    await focus_is_on(moderating, "remove")
    await tab_to(moderating, "lock")
    await moderating.keyboard.press("Enter")
    await tab_to(moderating, "end")
    await moderating.keyboard.press("Enter")
    await focus_is_on(moderating, "cancel")
    await moderating.keyboard.press("Tab")
    await moderating.keyboard.press("Enter")
    await moderating.wait_for_function("() => callcluster.call.asked.length === 3")
    assert await asked(moderating) == [["mute", PEER, "audio"], ["lock", True], ["end"]]


async def test_what_the_invitation_does_not_allow_is_let_go_of_and_not_switched_on(in_call: Page) -> None:
    camera = await in_call.evaluate_handle("callcluster.call.sent.cam")
    await room_is(in_call, pub=["mic"])
    await expect(in_call.locator(by("toast"))).to_contain_text("let you use the camera")
    assert await camera.evaluate("track => track.readyState") == "ended"
    await in_call.click(by("screen"))
    await expect(in_call.locator(by("toast")).last).to_contain_text("let you share a screen")
    assert await in_call.evaluate("callcluster.call.sent.screen") is None
