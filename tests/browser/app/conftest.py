"""One browser and one page server a module; each test gets a fresh tab that must not complain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from browser.app.chromium import by, chromium, complaints_of
from browser.app.page_server import scripted_page
from playwright.async_api import BrowserContext, Page


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with scripted_page() as origin:
        yield origin


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[BrowserContext]:
    async with chromium() as context:
        yield context


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: BrowserContext, origin: str) -> AsyncIterator[Page]:
    """The start screen. Errors and violations of the content security policy fail the test."""
    tab = await browser.new_page()
    complaints = await complaints_of(tab)
    await tab.goto(origin)
    await tab.wait_for_selector(by("start"))
    yield tab
    await tab.close()
    assert complaints == []


@pytest_asyncio.fixture(loop_scope="module")
async def in_call(page: Page) -> Page:
    """Joined, alone."""
    await page.click(by("start-call"))
    await page.wait_for_selector(f"{by('preview')} video")
    await page.fill(by("name"), "Ada Lovelace")
    await page.click(by("join"))
    await page.wait_for_selector(by("invitation"))
    return page
