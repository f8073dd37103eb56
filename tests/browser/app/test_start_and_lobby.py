"""Before the call: links, devices, names."""

from __future__ import annotations

import pytest
from browser.app.chromium import by, chromium, frames_advance
from browser.app.steps import tab_to
from playwright.async_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

SECRET = "A" * 43


async def test_a_new_call_has_a_room_and_a_secret_that_no_request_carries(page: Page) -> None:
    asked: list[str] = []
    page.on(
        "request", lambda request: asked.append(request.url + str(request.headers) + str(request.post_data))
    )
    await page.click(by("start-call"))
    await page.wait_for_selector(by("lobby"))
    fragment = page.url.split("#")[1]
    fields = dict(field.split("=") for field in fragment.split("&"))
    assert len(fields["k"]) == 43
    await page.click(by("join"))
    await page.wait_for_selector(by("call"))
    assert not any(fields["k"] in request or fields["r"] in request for request in asked)


async def test_two_new_calls_share_nothing(page: Page) -> None:
    fragments = set()
    for _ in range(2):
        await page.click(by("start-call"))
        await page.wait_for_selector(by("lobby"))
        fragments |= set(page.url.split("#")[1].split("&"))
        await page.click(by("back"))
        await page.wait_for_selector(by("start"))
    assert len(fragments) == 4


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("", "a join link. It looks like"),
        ("hello", "a join link. It looks like"),
        ("{origin}/", "a join link. It looks like"),
        ("{origin}/#r=a%20b", "room"),
        ("{origin}/#r=room&k=short", "damaged"),
        ("https://calls.example/#r=room&k=" + SECRET, "another server, calls.example"),
    ],
)
async def test_a_pasted_link_that_cannot_be_used_says_why(
    page: Page, origin: str, link: str, says: str
) -> None:
    await page.fill(by("join-link"), link.format(origin=origin))
    await page.click(by("use-link"))
    await expect(page.locator(by("link-problem"))).to_contain_text(says)
    await expect(page.locator(by("join-link"))).to_have_attribute("aria-invalid", "true")


async def test_a_pasted_link_opens_its_lobby(page: Page, origin: str) -> None:
    await page.fill(by("join-link"), f"  {origin}/#r=room-7&k={SECRET}\n")
    await page.press(by("join-link"), "Enter")
    await page.wait_for_selector(by("lobby"))
    assert page.url == f"{origin}/#r=room-7&k={SECRET}"


async def test_a_pasted_link_with_another_path_leads_to_a_page_that_is_there_after_a_reload(
    page: Page, origin: str
) -> None:
    await page.fill(by("join-link"), f"{origin}/invite/?from=mail#r=room-7&k={SECRET}")
    await page.press(by("join-link"), "Enter")
    await page.wait_for_selector(by("lobby"))
    assert page.url == f"{origin}/#r=room-7&k={SECRET}"


async def test_an_address_with_a_damaged_secret_never_becomes_a_call_without_one(
    page: Page, origin: str
) -> None:
    await page.goto(f"{origin}/#r=room&k=damaged")
    await expect(page.locator(by("link-problem"))).to_contain_text("damaged")
    await expect(page.locator(by("lobby"))).to_have_count(0)


async def test_the_lobby_says_what_a_link_without_a_secret_means(page: Page, origin: str) -> None:
    await page.goto(f"{origin}/#r=room")
    await expect(page.locator(by("promise"))).to_contain_text("no secret")
    await page.goto(f"{origin}/#r=room&k={SECRET}&relay=1")
    await expect(page.locator(by("promise"))).to_contain_text("relay only")


async def test_the_preview_moves_and_the_level_follows_the_microphone(page: Page) -> None:
    await page.click(by("start-call"))
    await frames_advance(page, f"{by('preview')} video")
    await page.wait_for_function(
        "selector => Number(document.querySelector(selector)?.style.getPropertyValue('--level')) > 0.1",
        arg=f"{by('level')} div",
    )


async def test_turning_the_camera_off_lets_the_device_go(page: Page) -> None:
    await page.click(by("start-call"))
    await page.wait_for_selector(f"{by('preview')} video")
    track = await page.evaluate_handle(
        f"document.querySelector('{by('preview')} video').srcObject.getTracks()[0]"
    )
    await page.click(by("lobby-cam"))
    await expect(page.locator(f"{by('preview')} video")).to_have_count(0)
    assert await track.evaluate("track => track.readyState") == "ended"
    await page.click(by("lobby-cam"))
    await page.wait_for_selector(f"{by('preview')} video")


async def test_devices_are_listed_and_the_chosen_camera_is_used(page: Page) -> None:
    await page.click(by("start-call"))
    await page.wait_for_selector(f"{by('preview')} video")
    cameras = page.locator(f"{by('device-cam')} option")
    await expect(cameras.first).to_have_text("fake_device_0")
    wanted = await page.input_value(by("device-cam"))
    used = await page.evaluate(
        f"document.querySelector('{by('preview')} video').srcObject.getTracks()[0].getSettings().deviceId"
    )
    assert used == wanted


async def test_the_name_is_remembered_for_the_next_call(page: Page, origin: str) -> None:
    await page.click(by("start-call"))
    await page.fill(by("name"), "  Grace Hopper ")
    await page.click(by("join"))
    await page.wait_for_selector(by("call"))
    await page.goto(f"{origin}/?again#r=room&k={SECRET}")
    await expect(page.locator(by("name"))).to_have_value("Grace Hopper")


async def test_a_whole_join_by_keyboard_alone(page: Page) -> None:
    await tab_to(page, "start-call")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(f"{by('preview')} video")
    await tab_to(page, "name")
    await page.keyboard.press("Control+A")
    await page.keyboard.type("Keyboard Person")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(by("call"))
    for testid in ("badge", "copy-link", "mic", "cam", "screen", "hand-button", "leave"):
        await tab_to(page, testid)
    await page.keyboard.press("Enter")
    await page.wait_for_selector(by("ended"))


async def test_blocked_devices_are_explained_and_the_call_is_joined_without_them(origin: str) -> None:
    blocked = ("--use-fake-device-for-media-stream", "--deny-permission-prompts")
    async with chromium(args=blocked, permissions=()) as context:
        page = await context.new_page()
        await page.goto(f"{origin}/#r=room&k={SECRET}")
        await expect(page.locator(by("problem-cam"))).to_contain_text("camera is blocked")
        await expect(page.locator(by("problem-mic"))).to_contain_text("microphone is blocked")
        await expect(page.locator(by("join"))).to_have_text("Join without media")
        await page.click(by("join"))
        await page.wait_for_selector(by("invitation"))
        await page.click(by("mic"))
        await expect(page.locator(by("toast"))).to_contain_text("microphone is blocked")


async def test_a_machine_without_devices_joins_without_them(origin: str) -> None:
    async with chromium(args=("--use-fake-ui-for-media-stream",)) as context:
        page = await context.new_page()
        await page.goto(f"{origin}/#r=room&k={SECRET}")
        await expect(page.locator(by("problem-cam"))).to_contain_text("No camera was found")
        await page.click(by("join"))
        await page.wait_for_selector(by("invitation"))
        sent = await page.evaluate("callcluster.call.sent")
        assert sent == {"mic": None, "cam": None, "screen": None}


async def test_a_browser_that_cannot_encrypt_is_kept_out(origin: str) -> None:
    async with chromium() as context:
        page = await context.new_page()
        await page.add_init_script("delete globalThis.RTCRtpScriptTransform")
        await page.goto(f"{origin}/#r=room&k={SECRET}")
        await expect(page.locator(by("unsupported"))).to_contain_text("RTCRtpScriptTransform")
        await expect(page.locator(by("join"))).to_be_disabled()
        await expect(page.locator(f"{by('preview')} video")).to_have_count(0)
