"""A browser and a headless member in one call: each decrypts, decodes and shows what the other sends."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from browser.conftest import Opener
from browser.sdk.tabs import SECRET, Tab
from callcluster_probe.caller import Caller
from callcluster_probe.light import LightCall
from callcluster_probe.member import MemberSettings
from kit.eventually import eventually
from kit.signaling_server import SignalingProcess

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

CallerMaker = Callable[..., Caller]


@pytest_asyncio.fixture(loop_scope="module")
async def make_caller(server: SignalingProcess) -> AsyncIterator[CallerMaker]:
    callers: list[Caller] = []

    def make(room: str, secret: bytes = SECRET) -> Caller:
        callers.append(Caller(MemberSettings((server.url,), room, secret, name="Probe"), 0))
        return callers[-1]

    yield make
    for caller in callers:
        await caller.close()


@pytest_asyncio.fixture(loop_scope="module")
async def pair(open_tab: Opener, make_caller: CallerMaker, room: str) -> tuple[Tab, Caller]:
    """A page and the probe in one call; the page was there first."""
    tab, caller = await open_tab(), make_caller(room)
    await tab.join(room)
    await caller.join(15)
    return tab, caller


async def hears_and_sees(caller: Caller, sid: str) -> None:
    """From now on, frames of ``sid`` open, pictures and sounds of it decode, and nothing fails."""
    assert caller.member.keys
    counts = caller.member.keys.remotes[sid].counts
    before = {source: count.opened for source, count in counts.items()}
    failed = sum(count.failed for count in counts.values())
    pictures, sounds = caller.screen.seen.decoded, caller.speaker.seen.decoded
    await eventually(
        lambda: (
            counts["mic"].opened > before["mic"] + 20
            and counts["cam"].opened > before["cam"] + 10
            and caller.screen.seen.decoded > pictures + 10
            and caller.speaker.seen.decoded > sounds + 20
        ),
        within=30,
    )
    assert sum(count.failed for count in counts.values()) == failed


@pytest.mark.parametrize("first", ["page", "probe"])
async def test_each_hears_and_sees_the_other(
    open_tab: Opener, make_caller: CallerMaker, room: str, first: str
) -> None:
    tab, caller = await open_tab(), make_caller(room)
    if first == "page":
        await tab.join(room, name="Page")
        await caller.join(15)
    else:
        await caller.join(15)
        await tab.join(room, name="Page")
    look = await tab.flows()
    assert set(look["codecs"]) == {"video/VP8"}
    await tab.until(lambda look: look["encryption"]["active"])
    await hears_and_sees(caller, tab.sid)
    assert caller.member.keys
    look = await tab.look()
    assert look["code"]["code"] == caller.member.keys.security_code()
    (shown,) = [member for member in look["members"]["members"] if not member["isSelf"]]
    assert shown["name"] == "Probe"
    assert shown["trusted"]


async def test_a_page_with_another_secret_and_the_probe_decrypt_nothing_of_each_other(
    open_tab: Opener, make_caller: CallerMaker, room: str
) -> None:
    friend, caller = make_caller(room), make_caller(room)
    await caller.join(15)
    await friend.join(15)
    tab = await (await open_tab()).join(room, secret=secrets.token_bytes(32))
    await hears_and_sees(friend, caller.member.sid)
    look = await tab.until(lambda look: look["packetsReceived"] > 100)
    assert look["framesDecoded"] == 0
    assert look.get("encryption", {}).get("opened", 0) == 0
    assert not caller.member.keys.trusted(tab.sid, 0)
    assert caller.counts(tab.sid).opened == 0


async def test_media_goes_on_after_the_page_restarts_ice(pair: tuple[Tab, Caller]) -> None:
    tab, caller = pair
    await tab.flows()
    await tab.page.evaluate("dispatchEvent(new Event('online'))")
    restarted = "seen.descriptions > 1 && seen.connections.at(-1).signalingState === 'stable'"
    await eventually(lambda: tab.page.evaluate(restarted), within=30)
    await tab.flows(30)
    await hears_and_sees(caller, tab.sid)


async def test_media_goes_on_after_the_probe_takes_a_new_route(pair: tuple[Tab, Caller]) -> None:
    tab, caller = pair
    await tab.flows()
    link = caller.member.links[tab.sid]
    old = link.connection
    link.start_anew()
    await eventually(lambda: link.connected and link.connection is not old, within=20)
    await tab.flows(30)
    await hears_and_sees(caller, tab.sid)


async def test_after_the_page_leaves_the_probe_seals_with_a_new_key(pair: tuple[Tab, Caller]) -> None:
    tab, caller = pair
    await hears_and_sees(caller, tab.sid)
    assert caller.member.keys
    before = caller.member.keys.own.newest
    await tab.page.evaluate("call.leave()")
    await eventually(lambda: caller.member.keys.own.newest[0] >> 8 != before[0] >> 8)
    assert tab.sid not in caller.member.links


async def test_a_page_joins_a_light_call(open_tab: Opener, server: SignalingProcess, room: str) -> None:
    async with LightCall(server.url, server.url, room, SECRET) as call:
        await call.talking()
        tab = await (await open_tab()).join(room)
        await tab.until(lambda look: len(look.get("encryption", {}).get("members", {})) == 2)
        await tab.until(lambda look: all(m["opened"] > 2 for m in look["encryption"]["members"].values()))
        opened = [stats.frames_opened for stats in call.stats()]
        await eventually(
            lambda: all(s.frames_opened > o + 50 for s, o in zip(call.stats(), opened, strict=True))
        )
