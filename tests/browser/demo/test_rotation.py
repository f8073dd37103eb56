"""TURN secrets rotate under a relayed call."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time

import pytest
from browser.app.chromium import chromium
from browser.sdk.tabs import Tab
from callcluster_common import keyset, turn_credentials
from callcluster_common.keyset import Key
from kit.demo import Demo, demo
from kit.eventually import eventually
from kit.turn_client import TURNClient

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SHORT = {
    "credentials": {
        "ttlSeconds": 12,
        "rotation": {"intervalSeconds": 24, "overlapSeconds": 14, "skewSeconds": 1},
    }
}
ROTATIONS = 2
LOOK_S = 1.0


def keys_of(running: Demo) -> keyset.KeySet:
    """The key set as it lies in the TURN agent's volume: what an attacker on the node could read."""
    paths = [
        path for path in running.up.runtime_directory.rglob("keys.json") if "turn" in str(path.parent.name)
    ]
    return keyset.parse(paths[0].read_bytes())


async def is_accepted(running: Demo, key: Key) -> bool:
    """Whether coturn makes an allocation for a fresh credential of this key."""
    status = await running.status()
    server = status["turn"]["servers"][0]
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        local = ("127.0.0.1", probe.getsockname()[1])
    credential = turn_credentials.mint(key, "test", int(time.time()) + 60)
    async with TURNClient(("127.0.0.1", server["listeningPort"]), credential, local) as client:
        return (await client.allocate()).error is None


async def test_a_relayed_call_outlives_rotations_and_the_old_secret_is_refused() -> None:
    async with demo(turn=SHORT) as running, chromium() as browser:

        async def turn_is_ready() -> bool:
            servers = (await running.status()).get("turn", {}).get("servers", [])
            return any(server["state"] == "Ready" for server in servers)

        await eventually(turn_is_ready, within=30)
        first = keys_of(running).minting
        assert await is_accepted(running, first)

        one = await (await Tab.open(browser, running.port)).join("rotation", iceTransportPolicy="relay")
        other = await (await Tab.open(browser, running.port)).join("rotation", iceTransportPolicy="relay")
        await one.flows()
        await other.flows()

        phases: set[str] = set()
        minted: list[str] = []
        sent = 0
        frozen = [0.0]
        end = time.monotonic() + 120
        while time.monotonic() < end:
            await asyncio.sleep(LOOK_S)
            credentials = (await running.status())["credentials"]
            phases.add(credentials["phase"])
            if credentials["mintKeyID"] not in minted:
                minted.append(credentials["mintKeyID"])
            await one.page.evaluate("number => window.call.send({ number })", sent)
            sent += 1
            await other.flows(within=5)
            frozen.append(await other.page.evaluate(FROZEN_S))
            retired = first.kid not in {key.kid for key in keys_of(running).keys}
            if retired and len(minted) > ROTATIONS:
                break

        assert len(minted) > ROTATIONS, minted
        assert first.kid not in {key.kid for key in keys_of(running).keys}
        assert not await is_accepted(running, first)
        assert await is_accepted(running, keys_of(running).minting)
        assert phases >= {"Settled", "Overlap"}, phases
        # Without its relay a picture stands still until ICE gives the route up, which takes five seconds.
        # Chromium counts from 150 ms on, which a busy machine does to any call.
        print(f"\nfrozen over {len(minted) - 1} rotations: {frozen[-1]:.2f} s in all")
        assert max(after - before for before, after in itertools.pairwise(frozen)) < 3, frozen

        received = await eventually(lambda: _numbers(other, sent), within=10)
        assert received == list(range(sent))

        status = await running.status()
        assert status["credentials"]["lastRotationTime"] < status["credentials"]["nextRotationTime"]
        shown = json.dumps(status)
        assert not any(key.secret in shown for key in (first, *keys_of(running).keys))


async def _numbers(tab: Tab, wanted: int) -> list[int] | None:
    messages = await tab.page.evaluate("window.seen.messages.map(({ data }) => data.number)")
    return list(messages) if len(messages) >= wanted else None


FROZEN_S = """async () => {
    let seconds = 0
    for (const connection of window.seen.connections)
        for (const line of (await connection.getStats()).values())
            if (line.type === 'inbound-rtp') seconds += line.totalFreezesDuration ?? 0
    return seconds
}"""
