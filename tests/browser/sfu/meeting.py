"""Three tabs in one room with an SFU: what they see of each other."""

from __future__ import annotations

from collections.abc import Sequence

from browser.conftest import Opener
from browser.sdk.tabs import Look, Tab


def moved(look: Look) -> bool:
    """All media goes through the SFU, and nothing from member to member any more."""
    return bool(look["connections"] == look["forwarded"] == 1)


def opened(look: Look, sid: str) -> int:
    """Frames of a member that were opened."""
    counts: dict[str, int] = look["encryption"]["members"].get(sid, {})
    return counts.get("opened", 0)


async def hear_each_other(tabs: Sequence[Tab]) -> None:
    """From now on each opens frames of each other one, and pictures of all are decoded."""
    for tab in tabs:
        before = await tab.until(lambda look: "encryption" in look)
        others = [other.sid for other in tabs if other is not tab]
        await tab.until(
            lambda look, before=before, others=others: (
                all(opened(look, sid) > opened(before, sid) + 50 for sid in others)
                and len([frames for frames in look["perVideo"] if frames > 5]) >= len(others)
            )
        )
        await tab.flows()


async def three(open_tab: Opener, room: str) -> list[Tab]:
    tabs = [await (await open_tab()).join(room) for _ in range(3)]
    for tab in tabs:
        await tab.until(moved, within=40)
    return tabs
