"""A server that attacks in front of the real one, and three tabs that hear each other by way of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio
from browser.attacks.hostile_tab import FILES, HostileTab
from kit.hostile_server import HostileServer
from kit.signaling_server import SignalingProcess
from playwright.async_api import BrowserContext

ROOM = "attacked"


@dataclass(frozen=True)
class Trio:
    """Ada and Cid talk; Bob is attacked."""

    ada: HostileTab
    bob: HostileTab
    cid: HostileTab

    @property
    def all(self) -> tuple[HostileTab, HostileTab, HostileTab]:
        return self.ada, self.bob, self.cid

    async def encrypt(self, on: bool) -> None:
        """The switch that the client does not have."""
        for tab in self.all:
            await tab.server("encrypt", on=on)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostile(server: SignalingProcess) -> AsyncIterator[HostileServer]:
    async with HostileServer(server.port, FILES) as proxy:
        yield proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trio(browser: BrowserContext, hostile: HostileServer) -> AsyncIterator[Trio]:
    tabs = [await HostileTab.open(browser, hostile.port) for _ in range(3)]
    for tab in tabs:
        await tab.join_by_sound(ROOM)
    yield Trio(*tabs)
    for tab in tabs:
        await tab.page.close()
    assert [complaint for tab in tabs for complaint in tab.complaints] == []


@pytest_asyncio.fixture(loop_scope="module")
async def late_tab(
    browser: BrowserContext, hostile: HostileServer, trio: Trio
) -> AsyncIterator[HostileTab]:
    """One that is not in the call yet."""
    tab = await HostileTab.open(browser, hostile.port)
    yield tab
    await tab.page.close()
    assert tab.complaints == []
