"""`callcluster up`, its link, and two tabs of the page: what a visitor of the project does first."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

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

            # Frames that come before their key are dropped and counted; then none fails any more.
            async def flows_cleanly(page: Page = page) -> bool:
                before = await counts(page)

                async def has_grown() -> dict[str, int] | None:
                    now = await counts(page)
                    grown = all(now[each] > before[each] + 20 for each in ("sealed", "opened"))
                    return now if grown else None

                after = await eventually(has_grown, within=20)
                assert after is not None
                return after["failed"] == before["failed"]

            await eventually(flows_cleanly, within=20)

            async def took_the_route(page: Page = page) -> bool:
                return bool((await page.evaluate(LOOK))["route"] == route)

            await eventually(took_the_route, within=20)


async def test_two_tabs_on_the_link_are_in_an_encrypted_call() -> None:
    async with demo() as running, chromium() as browser:
        await call_works(running, browser, running.link, "direct")


async def test_with_the_relay_forced_the_call_takes_it() -> None:
    async with demo() as running, chromium() as browser:
        await call_works(running, browser, running.link + "&relay=1", "relay")
