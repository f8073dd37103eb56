"""The ways that media takes: direct, through TURN, and from one to another during a call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser.conftest import Opener
from browser.sdk.tabs import Tab
from callcluster_common import directive
from callcluster_common.directive import Directive
from callcluster_common.keyset import encode as encode_keys
from kit import turn_agent
from kit.signaling_server import SignalingProcess, signaling
from kit.turn_agent import AgentProcess, claimed_ports, key_set, new_key

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]


async def routes(tab: Tab) -> set[str]:
    stats = await tab.page.evaluate("call.stats()")
    return {member["route"] for member in stats["members"].values()}


async def test_a_network_change_restarts_ice_and_media_goes_on(open_tab: Opener, room: str) -> None:
    ada = await (await open_tab()).join(room)
    bob = await (await open_tab()).join(room)
    await ada.flows()
    for tab in (ada, bob):  # both at once: offers cross
        await tab.page.evaluate(
            """() => {
                seen.ufrags = new Set()
                const ufrag = () => /ufrag:(\\S+)/.exec(seen.connections[0].localDescription.sdp)[1]
                setInterval(() => seen.ufrags.add(ufrag()), 5)
            }"""
        )
    await ada.page.evaluate("dispatchEvent(new Event('online'))")
    await bob.page.evaluate("dispatchEvent(new Event('online'))")
    for tab in (ada, bob):
        await tab.page.wait_for_function(
            "() => seen.ufrags.size > 1 && seen.connections[0].signalingState === 'stable'"
        )
        await tab.flows()
        assert await tab.page.evaluate("seen.connections[0].connectionState") == "connected"


@pytest_asyncio.fixture(loop_scope="module")
async def relayed(tmp_path: Path) -> AsyncIterator[SignalingProcess]:
    """A server whose clients get credentials for a real coturn, fresh ones every five seconds."""
    with claimed_ports() as ports:
        keys = key_set(new_key("k1"))
        keys_file, directive_file = tmp_path / "keys.json", tmp_path / "directive.json"
        keys_file.write_bytes(encode_keys(keys))
        uris = (f"turn:127.0.0.1:{ports.start}?transport=udp",)
        directive_file.write_bytes(directive.encode(Directive(turn_uris=uris, turn_ttl_seconds=10)))
        files = {"TURN_KEYS_FILE": str(keys_file), "DIRECTIVE_FILE": str(directive_file)}
        async with AgentProcess(tmp_path, ports, keys) as agent:
            await agent.ready()
            with signaling(GUEST_ACCESS="true", **files) as server:
                yield server


@pytest.mark.coturn
@pytest.mark.skipif(turn_agent.unavailable() is not None, reason=str(turn_agent.unavailable()))
async def test_a_relayed_call_outlives_its_first_credentials(
    open_tab: Opener, room: str, relayed: SignalingProcess
) -> None:
    tabs = [await (await open_tab(relayed.port)).join(room, iceTransportPolicy="relay") for _ in range(2)]
    for tab in tabs:
        await tab.flows()
        assert await routes(tab) == {"relay"}
    first = await tabs[0].page.evaluate("seen.connections[0].getConfiguration().iceServers[0].username")
    expiry = int(first.split(":")[0])
    await tabs[0].page.wait_for_function(
        "expiry => Date.now() / 1000 > expiry + 5", arg=expiry, timeout=40_000
    )
    for tab in tabs:
        await tab.flows()
        assert await routes(tab) == {"relay"}
        assert await tab.page.evaluate("seen.connections.length") == 1
    assert first != await tabs[0].page.evaluate(
        "seen.connections[0].getConfiguration().iceServers[0].username"
    )
