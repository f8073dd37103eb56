"""Makes docs/images from a real call of two drawn people.

Run it with ``PYTHONPATH=tests python -m browser.app.screenshots``.
"""

from __future__ import annotations

import asyncio
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Literal

from browser.app.chromium import by, chromium, frames_advance
from kit.signaling_server import signaling
from PIL import Image
from playwright.async_api import BrowserContext, Page, expect

TARGET = Path(__file__).resolve().parents[3] / "docs" / "images"
LOOKS: list[tuple[str, Literal["light", "dark"], int, int]] = [
    ("", "light", 1280, 800),
    ("-dark", "dark", 1280, 800),
    ("-mobile", "light", 390, 844),
]
PORTRAITS = Path(__file__).parent / "portraits"
DEVICE_NAMES = """
    const names = { videoinput: 'Integrated camera', audioinput: 'Headset', audiooutput: 'Headset' }
    Object.defineProperty(MediaDeviceInfo.prototype, 'label', { get() { return names[this.kind] } })
"""
"""The page shows the devices of a desk, not those of a test."""

SMALL_ENOUGH = 300_000
SECONDS_OF_HISTORY = 50
"""How long the call runs before the pictures, so that the curve of the details has a shape."""


async def film(studio: BrowserContext, person: str, path: Path) -> Path:
    """Writes a drawing as a motion JPEG, which Chromium takes for a camera."""
    page = await studio.new_page()
    await page.set_viewport_size({"width": 1280, "height": 720})
    await page.set_content(f"<style>body {{ margin: 0 }}</style>{(PORTRAITS / person).read_text()}")
    picture = await page.screenshot(type="jpeg", quality=92)
    await page.close()
    path.write_bytes(picture * 2)
    return path


async def shoot(page: Page, name: str, once: str = "body") -> None:
    """One picture a look, each when ``once`` is on the page."""
    for suffix, scheme, width, height in LOOKS:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": height})
        await page.mouse.move(1, 1)
        await page.wait_for_timeout(600)  # tiles glide to their places
        await page.wait_for_selector(once, timeout=60_000)
        path = TARGET / f"{name}{suffix}.png"
        with Image.open(BytesIO(await page.screenshot())) as picture:
            plain = picture.convert("RGB")
            plain.save(path, optimize=True)
            if path.stat().st_size > SMALL_ENOUGH:
                plain.quantize(256, kmeans=4).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size // 1024} KiB")


async def main() -> None:
    """Stages the call and takes the pictures."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        films = Path(name)
        async with chromium() as studio:
            faces = [await film(studio, f"{who}.svg", films / f"{who}.mjpeg") for who in ("amara", "jonas")]
        cameras = [
            (
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-video-capture={face}",
            )
            for face in faces
        ]
        with signaling(GUEST_ACCESS="true") as server:
            async with (
                chromium(args=cameras[0]) as hers,
                chromium(args=cameras[1]) as his,
            ):
                amara, jonas = await hers.new_page(), await his.new_page()
                await amara.add_init_script(DEVICE_NAMES)
                await amara.goto(f"http://localhost:{server.port}")
                await amara.wait_for_selector(by("start"))
                await shoot(amara, "start")
                await amara.click(by("start-call"))
                await amara.fill(by("name"), "Dr Amara Okafor")
                await frames_advance(amara, f"{by('preview')} video")
                await shoot(amara, "lobby")
                await amara.click(by("join"))
                link = await amara.input_value(by("share-link"))
                await jonas.goto(link)
                await jonas.fill(by("name"), "Jonas Lindqvist")
                await jonas.wait_for_selector(f"{by('preview')} video")
                await jonas.click(by("join"))
                await expect(amara.locator(by("badge"))).to_have_text("Encrypted", timeout=30_000)
                await amara.wait_for_function(
                    "selector => document.querySelector(selector)?.videoWidth === 1280",
                    arg=f"{by('tile-cam')} video",
                    timeout=60_000,
                )
                await asyncio.sleep(SECONDS_OF_HISTORY)
                await shoot(amara, "call")
                await amara.keyboard.press("d")
                await shoot(amara, "details", once=".chip[data-quality='3']")
                await amara.keyboard.press("e")
                await shoot(amara, "security")


if __name__ == "__main__":
    asyncio.run(main())
