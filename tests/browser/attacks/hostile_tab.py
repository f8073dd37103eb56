"""Tabs in a call by the SDK alone, which hear each other, with a server that attacks in their workers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from browser.sdk.tabs import SECRET, Tab
from kit.eventually import eventually
from playwright.async_api import BrowserContext

HERE = Path(__file__).parent
FILES = {"/sdk/worker.js": HERE / "hostile_worker.js"}
"""What the server that attacks serves in the place of the client's own files."""

Counts = dict[str, int]


class HostileTab(Tab):
    """One member; ``attack`` and what follows it speak to the server between it and the network."""

    @staticmethod
    async def open(browser: BrowserContext, port: int) -> HostileTab:
        """An empty page of the server's origin."""
        page = await browser.new_page()
        for script in (Path(HERE.parent, "sdk", "harness.js"), HERE / "harness_attacks.js"):
            await page.add_init_script(path=script)
        await page.goto(f"http://localhost:{port}/sdk/index.js")
        return HostileTab(page, port)

    async def join_by_sound(self, room: str, *, secret: bytes | None = SECRET) -> HostileTab:
        """Join, and send sound alone."""
        options = {
            "url": f"ws://localhost:{self.port}",
            "room": room,
            "secret": base64.b64encode(secret).decode() if secret else None,
        }
        self.sid = await self.page.evaluate("options => joinBySound(options)", options)
        return self

    async def server(self, command: str, **options: Any) -> Any:
        return await self.page.evaluate(
            "([command, options]) => server(command, options)", [command, options]
        )

    async def attack(self, kind: str, on: str, **how: Any) -> None:
        """From now on do that to each frame that comes as one of the member ``on``."""
        await self.server("attack", kind=kind, on=on, **how)

    async def leave_alone(self) -> None:
        """Attack no more."""
        await self.server("attack", kind="none")

    async def counts(self, sid: str) -> Counts:
        """Frames that came as those of a member: ``came``, ``altered``, ``played``, ``alteredPlayed``."""
        counts: dict[str, Counts] = await self.server("counts")
        return counts.get(sid, dict.fromkeys(("came", "altered", "played", "alteredPlayed"), 0))

    async def recorded(self, sid: str, last: int) -> list[str]:
        """The latest payloads that came as those of a member."""
        payloads: list[str] = await self.server("recorded", sid=sid, last=last)
        return payloads

    async def opens_with_kept_keys(self, sid: str, payloads: list[str]) -> int:
        """How many of these frames open with all keys that this member ever had, also after it left."""
        opened: int = await self.page.evaluate(
            "([sid, payloads]) => openWithKeptKeys(sid, payloads)", [sid, payloads]
        )
        return opened

    async def refused(self, sid: str) -> Counts:
        """Frames of a member that the client did not open, by reason; a second old at most."""
        counts: Counts = (await self.look()).get("encryption", {}).get("members", {}).get(sid, {})
        return {reason: counts.get(reason, 0) for reason in ("early", "repeated", "failed")}

    async def heard(self, sid: str) -> int:
        """Samples of a member's voice that were played and were no filling."""
        samples: int = await self.page.evaluate("sid => heard(sid)", sid)
        return samples

    async def hears(self, sid: str, within: float = 60.0) -> None:
        """From now on frames of a member reach the decoder as they came, and its voice is played."""
        before, heard = await self.counts(sid), await self.heard(sid)

        async def does() -> bool:
            now = await self.counts(sid)
            untouched = (now["played"] - now["alteredPlayed"]) - (
                before["played"] - before["alteredPlayed"]
            )
            return untouched > 10 and await self.heard(sid) > heard + 4_800

        await eventually(does, within=within, every=0.1)
