"""A forwarding server that attacks: the client's own worker refuses all that it did, and plays none of it.

The server stands in the worker between the network and the transforms (hostile_worker.js). It has what an
SFU or a peer in the middle has: sealed payloads, who they are said to be of, and the choice of what to hand
on. Beside each attack stands its control: the same tabs, the same attack, the encryption switched off.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from browser.attacks.conftest import ROOM, Trio
from browser.attacks.hostile_tab import Counts, HostileTab
from callcluster_probe.e2ee.sframe import decode_header, split_key_id
from kit.eventually import eventually

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

FRAMES = 30
"""Altered frames that an attack lasts for at least; more than half a second of sound."""


async def nothing(_: Trio) -> dict[str, Any]:
    return {}


async def what_came_before(trio: Trio) -> dict[str, Any]:
    """Sealed frames that Bob has had."""
    before = await trio.bob.counts(trio.ada.sid)

    async def came() -> bool:
        return (await trio.bob.counts(trio.ada.sid))["came"] > before["came"] + FRAMES

    await eventually(came, within=60)
    return {"payloads": await trio.bob.recorded(trio.ada.sid, FRAMES)}


async def another_sender(trio: Trio) -> dict[str, Any]:
    await trio.bob.hears(trio.cid.sid)
    return {"other": trio.cid.sid}


async def speech_in_clear(trio: Trio) -> dict[str, Any]:
    """What Ada said while nothing was encrypted."""
    await trio.encrypt(False)
    await trio.bob.hears(trio.ada.sid)
    payloads = await trio.bob.recorded(trio.ada.sid, FRAMES // 2)
    await trio.encrypt(True)
    return {"payloads": payloads}


ATTACKS: dict[str, tuple[str, Callable[[Trio], Awaitable[dict[str, Any]]], set[str]]] = {
    "flipped bits": ("flip", nothing, {"failed"}),
    "truncation": ("truncate", nothing, {"failed"}),
    "a byte too many": ("extend", nothing, {"failed"}),
    "replay": ("give", what_came_before, {"repeated"}),
    "another sender's frames": ("swap", another_sender, {"early"}),
    "plaintext": ("give", speech_in_clear, {"failed", "early"}),
    "silence": ("silence", nothing, {"failed"}),
}
"""What the server does, how it prepares for that, and for what reasons the client refuses most of it."""


@pytest.mark.parametrize("name", ATTACKS)
async def test_nothing_that_a_server_did_to_a_frame_is_played(trio: Trio, name: str) -> None:
    kind, prepare, reasons = ATTACKS[name]
    ada, bob = trio.ada, trio.bob
    await bob.hears(ada.sid)
    how = await prepare(trio)

    await trio.encrypt(False)
    await bob.attack(kind, ada.sid, **how)
    control, heard = await bob.counts(ada.sid), await bob.heard(ada.sid)

    async def is_played() -> bool:
        now = await bob.counts(ada.sid)
        return (
            now["alteredPlayed"] > control["alteredPlayed"] + FRAMES // 2
            and await bob.heard(ada.sid) > heard + 4_800
        )

    await eventually(is_played, within=60, every=0.1)
    await trio.encrypt(True)

    before = await bob.counts(ada.sid)
    refused = await bob.refused(ada.sid)
    silent_since = 0

    async def is_refused() -> bool:
        nonlocal silent_since
        now, heard = await bob.counts(ada.sid), await bob.heard(ada.sid)
        stands_still, silent_since = heard == silent_since, heard
        counted = await bob.refused(ada.sid)
        assert sum(counted[reason] - refused[reason] for reason in reasons) >= FRAMES // 2, counted
        return stands_still and now["altered"] - before["altered"] >= FRAMES

    await eventually(is_refused, within=60, every=0.3)
    after = await bob.counts(ada.sid)
    assert after["alteredPlayed"] == before["alteredPlayed"]
    await bob.leave_alone()
    await bob.hears(ada.sid)


async def test_frames_in_another_order_and_twice_are_played_once_each(trio: Trio) -> None:
    ada, bob = trio.ada, trio.bob
    shares = []
    for encrypted in (False, True):
        await trio.encrypt(encrypted)
        await bob.hears(ada.sid)
        before, repeated = await bob.counts(ada.sid), (await bob.refused(ada.sid))["repeated"]
        await bob.attack("backwards", ada.sid)

        async def is_over(
            before: Counts = before, repeated: int = repeated, refuses: bool = encrypted
        ) -> bool:
            seen = (await bob.refused(ada.sid))["repeated"] - repeated
            came = (await bob.counts(ada.sid))["altered"] - before["altered"]
            return came > 2 * FRAMES and (not refuses or seen >= FRAMES // 2)

        await eventually(is_over, within=60)
        await bob.leave_alone()
        after = await bob.counts(ada.sid)
        shares.append(
            (after["alteredPlayed"] - before["alteredPlayed"]) / (after["altered"] - before["altered"])
        )
    await bob.hears(ada.sid)
    # Of an unfinished round the first eight may be more than the second eight.
    clear, sealed = shares
    assert clear == 1
    assert 0.25 < sealed < 0.65


async def test_recordings_are_worth_nothing_to_who_joins_later(trio: Trio, late_tab: HostileTab) -> None:
    ada, bob = trio.ada, trio.bob
    recordings = await what_came_before(trio)
    clear = await speech_in_clear(trio)
    dora = await late_tab.join_by_sound(ROOM)
    await dora.hears(ada.sid)

    await dora.attack("give", ada.sid, **recordings)
    await eventually(lambda: altered(dora, ada, FRAMES), within=60)
    assert (await dora.counts(ada.sid))["alteredPlayed"] == 0
    # The control: what was recorded did open for who was there, and opens nothing by its look alone.
    assert await bob.opens_with_kept_keys(ada.sid, recordings["payloads"]) == FRAMES
    await dora.server("encrypt", on=False)
    await dora.attack("give", ada.sid, **clear)
    heard = await dora.heard(ada.sid)
    await eventually(lambda: hears_more(dora, ada, heard + 4_800), within=60)
    await dora.leave_alone()
    await dora.server("encrypt", on=True)
    await dora.hears(ada.sid)


async def test_who_left_opens_nothing_that_a_server_still_forwards(
    trio: Trio, late_tab: HostileTab
) -> None:
    ada, bob = trio.ada, trio.bob
    dora = await late_tab.join_by_sound(ROOM)
    await dora.hears(ada.sid)
    await bob.hears(ada.sid)
    # The control: while she is a member, her keys open all that Bob is sent.
    generation = generation_of((await bob.recorded(ada.sid, 1))[0])
    payloads = await bob.recorded(ada.sid, 10)
    assert await dora.opens_with_kept_keys(ada.sid, payloads) == len(payloads)

    await dora.page.evaluate("call.leave()")

    async def is_renewed() -> bool:
        payloads = await bob.recorded(ada.sid, FRAMES)
        return len(payloads) == FRAMES and generation not in map(generation_of, payloads)

    await eventually(is_renewed, within=60)
    assert await dora.opens_with_kept_keys(ada.sid, await bob.recorded(ada.sid, FRAMES)) == 0
    await bob.hears(ada.sid)


def generation_of(payload: str) -> int:
    """Of the key that a frame names."""
    kid, _, _ = decode_header(base64.b64decode(payload))
    return split_key_id(kid)[0]


async def altered(tab: HostileTab, sender: HostileTab, frames: int) -> bool:
    return (await tab.counts(sender.sid))["altered"] >= frames


async def hears_more(tab: HostileTab, sender: HostileTab, samples: int) -> bool:
    return await tab.heard(sender.sid) > samples
