"""What tests make happen in a scripted call."""

from __future__ import annotations

from typing import Any

from browser.app.chromium import by
from playwright.async_api import Page

PEER = "peer-0002"
REMOTE_VIDEO = f"{by('tile-cam')} video"


async def joins(page: Page, sid: str = PEER, **member: Any) -> None:
    """Another member comes in, with a moving picture."""
    await page.evaluate(
        "([sid, member]) => callcluster.call.add({ sid, name: 'Bo', ...member })", [sid, member]
    )
    await page.wait_for_selector(f'{by("tile-cam")}[data-sid="{sid}"]')


async def counts(
    page: Page, sealed: int, opened: int, failed: int = 0, *, early: int = 0, active: bool = True
) -> None:
    """The worker reports its frame counters."""
    report = {
        "active": active,
        "sealed": sealed,
        "opened": opened,
        "early": early,
        "repeated": 0,
        "failed": failed,
        "members": {PEER: {"opened": opened, "early": early, "repeated": 0, "failed": failed}},
    }
    await page.evaluate("report => callcluster.call.emit('encryption', report)", report)


async def change(page: Page, **state: bool) -> None:
    """The other member says that it sends something else."""
    await page.evaluate(
        """([sid, state]) => {
            const { call } = callcluster
            const changed = (one) => (one.sid === sid ? { ...one, state: { ...one.state, ...state } } : one)
            call.setMembers(call.members.map(changed))
        }""",
        [PEER, state],
    )


async def room_is(page: Page, **view: Any) -> None:
    """The server tells whether the call is ``locked``, and grants: ``pub``, ``msg``, ``mod``."""
    await page.evaluate("view => callcluster.call.setRoom(view)", view)


async def tab_to(page: Page, testid: str) -> None:
    """Presses Tab until ``testid`` has the focus."""
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement?.dataset.testid") == testid:
            return
    raise AssertionError(f"{testid} can't be reached with Tab")
