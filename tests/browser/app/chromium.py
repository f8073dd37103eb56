"""A headless Chromium with a fake camera and microphone, or without any."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import BrowserContext, Page, async_playwright

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
CAMERA_30_FPS = ("--use-fake-device-for-media-stream=fps=30", "--use-fake-ui-for-media-stream")
FAKE_MEDIA = ("--use-fake-device-for-media-stream=fps=10", "--use-fake-ui-for-media-stream")
"""Frames enough to see that they flow: encoding is most of what these tests cost."""
GRANTS = ("camera", "microphone", "clipboard-read", "clipboard-write")


@contextlib.asynccontextmanager
async def chromium(
    *, args: tuple[str, ...] = FAKE_MEDIA, permissions: tuple[str, ...] = GRANTS, **options: Any
) -> AsyncIterator[BrowserContext]:
    """A browser profile of its own; ``options`` go to the context (viewport, colour scheme, ...)."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                profile,
                executable_path=PROGRAM,
                headless=True,
                args=[*QUIET, *args],
                permissions=list(permissions),
                **{"viewport": {"width": 1280, "height": 800}, **options},
            )
            context.set_default_timeout(30_000)
            try:
                yield context
            finally:
                await context.close()


def by(testid: str) -> str:
    """The selector of the page's stable hook ``testid``."""
    return f'[data-testid="{testid}"]'


async def complaints_of(page: Page) -> list[str]:
    """A list that fills with errors and policy violations of the page from now on."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None,
    )
    return complaints


async def frames_advance(page: Page, selector: str) -> None:
    """Waits until the video at ``selector`` has shown frames after now."""
    await page.wait_for_function(
        """([selector, call]) => {
            const video = document.querySelector(selector)
            if (!video) return false
            const shown = video.getVideoPlaybackQuality().totalVideoFrames
            video.shownAt ??= {}
            return shown > (video.shownAt[call] ??= shown) + 5
        }""",
        arg=[selector, secrets.token_hex(4)],
    )
