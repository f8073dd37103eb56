"""`callcluster up`, its link, and two tabs of the page: what a visitor of the project does first."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from browser.app.chromium import by, chromium, frames_advance
from kit.demo import Demo, demo
from kit.eventually import eventually
from playwright.async_api import BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

LOOK = """async () => {
    const { members } = await window.callcluster.call.stats()
    const [mine] = Object.values(members)
    const audio = [...document.querySelectorAll('audio, video')]
    return { ...mine, playing: audio.filter((each) => !each.paused && each.srcObject?.active).length }
}"""


@contextlib.asynccontextmanager
async def tab(browser: BrowserContext, link: str, name: str) -> AsyncIterator[Page]:
    page = await browser.new_page()
    await page.goto(link)
    await page.wait_for_selector(f"{by('preview')} video")
    await page.fill(by("name"), name)
    await page.click(by("join"))
    yield page
    await page.close()


async def counts(page: Page) -> dict[str, int]:
    """What the worker sealed and opened so far."""
    found = await page.evaluate("window.callcluster.lastEncryption ?? null")
    return dict(found or {"sealed": 0, "opened": 0, "failed": 0})


async def call_works(demo: Demo, browser: BrowserContext, link: str, route: str) -> None:
    async with tab(browser, link, "Ada") as ada, tab(browser, link, "Grace") as grace:
        for page in (ada, grace):
            await page.evaluate(
                "window.callcluster.call.addEventListener("
                "'encryption', (event) => { window.callcluster.lastEncryption = event.detail })"
            )
        for page in (ada, grace):
            await page.wait_for_selector(by("tile-cam") + " video")
            await frames_advance(page, by("tile-cam") + " video")
            await page.wait_for_selector(by("badge") + '[data-state="encrypted"]')
            before = await counts(page)

            async def grows(page: Page = page, before: dict[str, int] = before) -> bool:
                now = await counts(page)
                return now["sealed"] > before["sealed"] + 20 and now["opened"] > before["opened"] + 20

            await eventually(grows, within=20)
            # Frames that came before their key were dropped; none fails once keys are there.
            assert (await counts(page))["failed"] == before["failed"]

            async def took_the_route(page: Page = page) -> bool:
                return bool((await page.evaluate(LOOK))["route"] == route)

            await eventually(took_the_route, within=20)


async def test_two_tabs_on_the_link_are_in_an_encrypted_call(tmp_path: Path) -> None:
    async with demo(tmp_path) as running, chromium() as browser:
        await call_works(running, browser, running.link, "direct")


async def test_with_the_relay_forced_the_call_takes_it(tmp_path: Path) -> None:
    async with demo(tmp_path) as running, chromium() as browser:
        await running.up.says("turn", within=30)
        await call_works(running, browser, running.link + "&relay=1", "relay")
