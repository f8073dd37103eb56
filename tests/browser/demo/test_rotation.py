"""A TURN secret rotates under a relayed call."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from dataclasses import dataclass

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
        "rotation": {"intervalSeconds": 30, "overlapSeconds": 14, "skewSeconds": 1},
    }
}
LOOK_S = 1.0
WINDOW_S = 4.0
"""Fresh credentials reach the clients within 2 s; the shortest time between two changes is 14 s."""


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


@dataclass(frozen=True)
class Frozen:
    """What stood still of the received pictures, as Chromium counts."""

    times: int
    seconds: float

    def since(self, before: Frozen) -> Frozen:
        return Frozen(self.times - before.times, self.seconds - before.seconds)

    def exceeds(self, other: Frozen) -> bool:
        return self.times > other.times or self.seconds > other.seconds + 1


class Watch:
    """Sends a message a second from one tab to the other, and looks at what happens meanwhile."""

    def __init__(self, running: Demo, sender: Tab, receiver: Tab) -> None:
        self.sent = 0
        self.phases: set[str] = set()
        self.minted: list[str] = []
        self._running = running
        self._sender = sender
        self._receiver = receiver

    async def frozen(self) -> Frozen:
        return Frozen(*await self._receiver.page.evaluate(FROZEN))

    async def look(self) -> tuple[str, tuple[str, ...]]:
        """Send; return the key that mints and those that the agent has."""
        await asyncio.sleep(LOOK_S)
        credentials = (await self._running.status())["credentials"]
        self.phases.add(credentials["phase"])
        if credentials["mintKeyID"] not in self.minted:
            self.minted.append(credentials["mintKeyID"])
        await self._sender.page.evaluate("number => window.call.send({ number })", self.sent)
        self.sent += 1
        await self._receiver.flows()
        return credentials["mintKeyID"], keys_of(self._running).kids

    async def rotation(self, within: float) -> tuple[Frozen, Frozen]:
        """Wait for the keys to change: what froze from before that on, and as long again after it."""
        keys, end = await self.look(), time.monotonic() + within
        while True:
            before, start = await self.frozen(), time.monotonic()
            if await self.look() != keys:
                break
            assert time.monotonic() < end, f"the keys are still {keys}"
        while time.monotonic() < start + WINDOW_S:
            await self.look()
        after, length = await self.frozen(), time.monotonic() - start
        start = time.monotonic()
        while time.monotonic() < start + length:
            await self.look()
        return after.since(before), (await self.frozen()).since(after)


async def test_a_relayed_call_outlives_a_rotation_and_the_old_secret_is_refused() -> None:
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

        watch = Watch(running, one, other)
        windows: list[tuple[Frozen, Frozen]] = []
        while len(watch.minted) < 2 or first.kid in keys_of(running).kids:
            windows.append(await watch.rotation(within=60))
            # Chromium counts gaps from 150 ms on, which a busy machine makes in any call: what froze while
            # the keys changed is held against what froze after it, and may be more than that once.
            assert len([0 for changing, quiet in windows if changing.exceeds(quiet)]) <= 1, windows
            assert len(windows) < 6, watch.minted
        print(f"\nfrozen while keys changed, and as long after it: {windows}")

        assert not await is_accepted(running, first)
        assert await is_accepted(running, keys_of(running).minting)
        assert watch.phases >= {"Settled", "Overlap"}, watch.phases

        received = await eventually(lambda: _numbers(other, watch.sent))
        assert received == list(range(watch.sent))

        status = await running.status()
        assert status["credentials"]["lastRotationTime"] < status["credentials"]["nextRotationTime"]
        shown = json.dumps(status)
        assert not any(key.secret in shown for key in (first, *keys_of(running).keys))


async def _numbers(tab: Tab, wanted: int) -> list[int] | None:
    messages = await tab.page.evaluate("window.seen.messages.map(({ data }) => data.number)")
    return list(messages) if len(messages) >= wanted else None


FROZEN = """async () => {
    let times = 0, seconds = 0
    for (const connection of window.seen.connections)
        for (const line of (await connection.getStats()).values())
            if (line.type === 'inbound-rtp') {
                times += line.freezeCount ?? 0
                seconds += line.totalFreezesDuration ?? 0
            }
    return [times, seconds]
}"""
