"""Tabs that are in a call by the SDK alone, without the application's page."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kit.eventually import eventually
from playwright.async_api import BrowserContext, Page

HARNESS = Path(__file__).with_name("harness.js")
SECRET = bytes(range(32))

Look = dict[str, Any]


class Tab:
    """One member."""

    def __init__(self, page: Page, port: int) -> None:
        self.page = page
        self.port = port
        self.sid = ""
        self.complaints: list[str] = []
        self.told: list[str] = []
        """All that left the page by its sockets and its console."""
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.told.append(message.text))
        page.on("websocket", lambda socket: socket.on("framesent", self._sent))

    @staticmethod
    async def open(browser: BrowserContext, port: int) -> Tab:
        """An empty page of the server's origin."""
        page = await browser.new_page()
        await page.add_init_script(path=HARNESS)
        await page.goto(f"http://localhost:{port}/sdk/index.js")
        return Tab(page, port)

    def _sent(self, frame: str | bytes) -> None:
        self.told.append(frame if isinstance(frame, str) else frame.decode(errors="replace"))

    async def join(
        self, room: str, *, secret: bytes | None = SECRET, name: str = "", **options: Any
    ) -> Tab:
        """Join; returns when the roster is known."""
        self.sid = await self.page.evaluate(
            "options => join(options)",
            {
                "url": f"ws://localhost:{self.port}",
                "room": room,
                "secret": base64.b64encode(secret).decode() if secret else None,
                "name": name,
                **options,
            },
        )
        return self

    async def look(self) -> Look:
        """Counts and reports as they are now."""
        return await self.page.evaluate("look()")  # type: ignore[no-any-return]

    async def until(self, condition: Callable[[Look], Any], within: float = 30.0) -> Look:
        """The first look for which ``condition`` holds."""
        last: Look = {}

        async def check() -> bool:
            last.update(await self.look())
            return bool(condition(last))

        try:
            await eventually(check, within=within, every=0.2)
            return last
        except AssertionError:
            raise AssertionError(f"never so within {within} s; last look: {last}") from None

    async def flows(self, within: float = 30.0) -> Look:
        """Waits until, from now on, pictures and sound arrive and the worker opens frames."""
        before = await self.look()
        opened = before.get("encryption", {}).get("opened", 0)
        return await self.until(
            lambda look: (
                look["framesDecoded"] > before["framesDecoded"] + 5
                and look["samples"] > before["samples"] + 4_800
                and look.get("encryption", {}).get("opened", 0) > opened
            ),
            within,
        )
