"""Calls through an SFU: what their members see of each other.

A picture costs more than all else here, so most members send sound alone, and some are no tabs at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from browser.conftest import Opener
from browser.sdk.tabs import Look, Tab
from kit.eventually import eventually
from kit.sfu_member import SFUMember

WITHIN = 60.0
"""Seconds. A machine without time to spare looks like a short link, where pictures are the first to go."""

SOUND = {"audio": True}
"""What to join with to send no picture."""

BY_LINK = """port => {
    const { setRemoteDescription } = RTCPeerConnection.prototype
    const candidate = /(a=candidate:\\S+ 1 udp \\d+ \\S+) \\d+/gi
    RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
        const linked = sdp.includes('a=ice-lite') ? sdp.replace(candidate, `$1 ${port}`) : sdp
        return setRemoteDescription.call(this, { type, sdp: linked })
    }
}"""
"""Reaches the SFU by another port than the one that it names."""


def moved(look: Look) -> bool:
    """All media goes through the SFU, and nothing from member to member any more."""
    return bool(look["connections"] == look["forwarded"] == 1)


def opened(look: Look, sid: str) -> int:
    """Frames of a member that were opened."""
    counts: dict[str, int] = look["encryption"]["members"].get(sid, {})
    return counts.get("opened", 0)


async def hear_each_other(tabs: Sequence[Tab], pictures: Sequence[Tab] | None = None) -> None:
    """From now on each opens frames of each other one, and pictures of all (or of these) are decoded."""
    for tab in tabs:
        before = await tab.until(lambda look: "encryption" in look, WITHIN)
        others = [other.sid for other in tabs if other is not tab]
        seen = [other for other in (tabs if pictures is None else pictures) if other is not tab]
        await tab.until(
            lambda look, before=before, others=others, seen=seen: (
                all(opened(look, sid) > opened(before, sid) + 50 for sid in others)
                and len([frames for frames in look["perVideo"] if frames > 5]) >= len(seen)
            ),
            WITHIN,
        )
        await hears(tab)
        if seen:
            await tab.flows(WITHIN)


async def hears(tab: Tab) -> None:
    """Waits until sound arrives from now on."""
    before = await tab.look()
    await tab.until(lambda look: look["samples"] > before["samples"] + 4_800, WITHIN)


async def hears_tab(member: SFUMember, tab: Tab) -> None:
    """Waits until a member that is no tab opens frames of one that is, from now on."""
    before = member.mark()
    await eventually(lambda: member.opened[tab.sid] > before[tab.sid] + 20, within=WITHIN)


async def three(open_tab: Opener, room: str) -> list[Tab]:
    """Three tabs on one SFU; the first sends a picture, and all of them sound."""
    tabs = [
        await (await open_tab()).join(room),
        *[await (await open_tab()).join(room, media=SOUND) for _ in range(2)],
    ]
    for tab in tabs:
        await tab.until(moved, WITHIN)
    return tabs
