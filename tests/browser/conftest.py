"""One signaling server and one browser a module; tabs of a test are closed after it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio
from browser.app.chromium import chromium
from browser.sdk.tabs import Tab
from kit.signaling_server import SignalingProcess, signaling
from playwright.async_api import BrowserContext, expect

Opener = Callable[..., Awaitable[Tab]]

# What is waited for comes late, where it comes, on a machine that encodes several pictures in software.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def server() -> Iterator[SignalingProcess]:
    with signaling(GUEST_ACCESS="true") as process:
        yield process


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[BrowserContext]:
    async with chromium() as context:
        yield context


@pytest.fixture
def room() -> str:
    return f"room-{secrets.token_hex(4)}"


@pytest_asyncio.fixture(loop_scope="module")
async def open_tab(browser: BrowserContext, server: SignalingProcess) -> AsyncIterator[Opener]:
    """Opens tabs; errors that a page did not catch fail the test."""
    tabs: list[Tab] = []

    async def opener(port: int | None = None) -> Tab:
        tabs.append(await Tab.open(browser, port or server.port))
        return tabs[-1]

    yield opener
    for tab in tabs:
        await tab.page.close()
    assert [complaint for tab in tabs for complaint in tab.complaints] == []
