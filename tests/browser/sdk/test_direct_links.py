"""Connections from member to member that end when neither side wants them, and begin anew."""

from __future__ import annotations

import pytest
from browser.conftest import Opener
from browser.sdk.tabs import Tab

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]

TWO = """async () => {
    const { Mesh } = await import('/sdk/mesh.js')
    const shared = {
        frames: { attach: () => 0, release: () => undefined },
        iceTransportPolicy: 'all',
        onTrack: () => undefined,
        onWarning: (code) => { throw new Error(code) },
    }
    window.meshes = {}
    for (const selfSid of ['ada', 'bob']) {
        const send = async (sid, type, d) => meshes[sid].receive(selfSid, type, structuredClone(d))
        meshes[selfSid] = new Mesh({ ...shared, selfSid, send }, { mic: null, cam: null, screen: null })
    }
    meshes.ada.open('bob', false)
    meshes.bob.open('ada', true)
}"""
STANDS = """() => {
    const open = seen.connections.filter(({ connectionState }) => connectionState !== 'closed')
    return open.length === 2 && open.every(({ connectionState }) => connectionState === 'connected')
}"""
DIRECTIONS = """directions => {
    const open = seen.connections.filter(({ connectionState }) => connectionState !== 'closed')
    const now = open.map((connection) => connection.getTransceivers()[0]?.currentDirection)
    return JSON.stringify(now.sort()) === JSON.stringify(directions)
}"""


async def two(open_tab: Opener) -> Tab:
    """One tab with both ends of a connection."""
    tab = await open_tab()
    await tab.page.evaluate(TWO)
    await tab.page.wait_for_function(STANDS)
    return tab


async def test_a_connection_ends_when_neither_side_wants_to_receive(open_tab: Opener) -> None:
    tab = await two(open_tab)
    await tab.page.evaluate("(meshes.ada.receives('bob', false), meshes.bob.receives('ada', false))")
    await tab.page.wait_for_function("() => !meshes.ada.has('bob') && !meshes.bob.has('ada')")


async def test_one_side_may_stop_receiving_and_begin_again(open_tab: Opener) -> None:
    tab = await two(open_tab)
    await tab.page.evaluate("meshes.ada.receives('bob', false)")
    await tab.page.wait_for_function(DIRECTIONS, arg=["recvonly", "sendonly"])
    await tab.page.evaluate("meshes.ada.receives('bob', true)")
    await tab.page.wait_for_function(DIRECTIONS, arg=["sendrecv", "sendrecv"])


@pytest.mark.parametrize("offers", [True, False])
async def test_an_end_that_was_made_anew_is_connected_to(open_tab: Opener, offers: bool) -> None:
    tab = await two(open_tab)
    await tab.page.evaluate("offers => { meshes.bob.close('ada'); meshes.bob.open('ada', offers) }", offers)
    await tab.page.evaluate("offers => offers || meshes.ada.restartIce()", offers)
    await tab.page.wait_for_function(STANDS)
    first = await tab.page.evaluate("seen.connections.slice(0, 2).map((each) => each.connectionState)")
    assert first == ["closed", "closed"], "both ends are new"
