"""A signaling server that attacks keys and roster: it reads, changes, withholds and invents what is said.

The frames of media are left alone here. More of what keys and roster alone can bring about is tested
without a browser, in tests/unit/web/hostile_server.test.mjs.
"""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from browser.attacks.hostile_tab import HostileTab
from callcluster_probe.e2ee.bundle import Identity
from kit.eventually import eventually
from kit.hostile_server import Frame, HostileServer, Seat
from playwright.async_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

FRAMES = 30

Opener = Callable[[], Awaitable[HostileTab]]


@pytest_asyncio.fixture(loop_scope="module")
async def open_hostile(browser: BrowserContext, hostile: HostileServer) -> AsyncIterator[Opener]:
    tabs: list[HostileTab] = []

    async def opener() -> HostileTab:
        tabs.append(await HostileTab.open(browser, hostile.port))
        return tabs[-1]

    yield opener
    hostile.behave()
    for tab in tabs:
        await tab.page.close()
    assert [complaint for tab in tabs for complaint in tab.complaints] == []


def member(look: dict[str, Any], sid: str) -> dict[str, Any]:
    """How a page shows someone; empty where it does not."""
    members: list[dict[str, Any]] = look.get("members", {}).get("members", [])
    return next((each for each in members if each["sid"] == sid), {})


def is_shown(sid: str, trusted: bool, look: dict[str, Any]) -> bool:
    """As one who is trusted, or is not, and with a code to compare."""
    has_code = bool((look.get("code") or {}).get("code"))
    return has_code and member(look, sid).get("trusted") == trusted


async def test_without_its_key_nobody_is_heard_and_with_it_they_are(
    open_hostile: Opener, hostile: HostileServer, room: str
) -> None:
    hostile.from_member = lambda seat, frame: [] if frame["t"] == "key.send" else [frame]
    ada, bob = [await (await open_hostile()).join_by_sound(room) for _ in range(2)]

    async def came() -> bool:
        early = (await bob.refused(ada.sid))["early"]
        return (await bob.counts(ada.sid))["came"] > FRAMES and early > FRAMES // 2

    await eventually(came, within=60)
    assert (await bob.counts(ada.sid))["played"] == 0
    assert await bob.heard(ada.sid) == 0
    hostile.behave()
    await bob.hears(ada.sid)
    await ada.hears(bob.sid)


@pytest.mark.parametrize(
    "secret", [bytes(range(32)), None], ids=["room secret", "the control, without one"]
)
async def test_keys_that_a_server_puts_in_the_place_of_others_are_refused_or_change_the_code(
    open_hostile: Opener, hostile: HostileServer, room: str, secret: bytes | None
) -> None:
    own: dict[str, Any] = {}

    def substitute(line: dict[str, Any]) -> dict[str, Any]:
        sid = line["sid"]
        own.setdefault(sid, msgspec.to_builtins(Identity().bundle(room, sid, time.time(), None)))
        return {**line, "bundle": own[sid]}

    def tamper(seat: Seat, frame: Frame) -> list[Frame]:
        changed = copy.deepcopy(frame)
        if frame["t"] == "join.ok":
            snapshot = changed["d"]["snapshot"]
            snapshot["members"] = [
                line if line["sid"] == seat.sid else substitute(line) for line in snapshot["members"]
            ]
        elif frame["t"] == "ev" and frame["d"]["kind"] == "joined":
            changed["d"]["member"] = substitute(frame["d"]["member"])
        return [changed]

    hostile.to_member = tamper
    ada, bob = [await (await open_hostile()).join(room, secret=secret, media=False) for _ in range(2)]
    codes = []
    for tab, other in ((ada, bob), (bob, ada)):
        look = await tab.until(functools.partial(is_shown, other.sid, secret is None))
        assert member(look, other.sid)["verified"] is False
        codes.append(look["code"]["code"])
    assert codes[0] != codes[1]
    for seat in hostile.seats:
        gave = [frame for frame in seat.said if frame["t"] == "key.send" and seat.sid in (ada.sid, bob.sid)]
        assert secret is None or gave == []


async def test_who_was_in_an_earlier_call_is_no_witness_in_this_one(
    open_hostile: Opener, hostile: HostileServer, room: str
) -> None:
    ada = await (await open_hostile()).join(room, media=False, name="Ada")
    cid = await (await open_hostile()).join(room, media=False, name="Cid")
    # The control: while she is there she is verified, and heard.
    look = await ada.until(
        lambda look: member(look, cid.sid).get("verified") and member(look, cid.sid)["name"]
    )
    assert member(look, cid.sid)["name"] == "Cid"
    await cid.page.evaluate("call.send('agreed')")
    await ada.until(lambda look: look["messages"])
    told = hostile.seat(ada.sid).told
    (joined,) = [frame for frame in told if frame["t"] == "ev" and frame["d"]["kind"] == "joined"]
    (message,) = [frame for frame in told if frame["t"] == "msg"]
    for tab in (cid, ada):
        await tab.page.evaluate("call.leave()")

    bob = await (await open_hostile()).join(room, media=False)
    dan = await (await open_hostile()).join(room, media=False)
    before = (await bob.until(lambda look: member(look, dan.sid).get("verified")))["code"]["code"]
    for frame in (joined, message, message):
        await hostile.seat(bob.sid).tell({name: frame[name] for name in frame if name != "off"})
    look = await bob.until(lambda look: member(look, cid.sid).get("name") == "Cid")
    assert member(look, cid.sid)["verified"] is False
    await dan.page.evaluate("call.send('hello')")
    look = await bob.until(lambda look: look["messages"])
    assert look["messages"] == [{"sid": dan.sid, "data": "hello"}]
    # One profile has all of these tabs, and one identity: the code is the same, as is who compares it.
    assert look["code"]["code"] == before


async def test_a_ghost_gets_no_key_and_changes_the_code(
    open_hostile: Opener, hostile: HostileServer, room: str
) -> None:
    ada, bob = [await (await open_hostile()).join(room, media=False) for _ in range(2)]
    before = (await ada.until(lambda look: member(look, bob.sid).get("verified")))["code"]["code"]
    sid = "ghost-0123456789abcdef"
    bundle = msgspec.to_builtins(Identity().bundle(room, sid, time.time(), None))
    said = len(hostile.seat(ada.sid).said)
    await hostile.seat(ada.sid).tell(
        {"t": "ev", "d": {"kind": "joined", "member": {"sid": sid, "bundle": bundle}}}
    )
    look = await ada.until(lambda look: look["code"]["code"] != before)
    assert (member(look, sid)["trusted"], member(look, sid)["verified"]) == (False, False)
    assert (await bob.look())["code"]["code"] == before, "who compares the codes sees that they differ"
    await ada.page.evaluate("call.send('still here')")
    await bob.until(lambda look: look["messages"])
    assert [frame for frame in hostile.seat(ada.sid).said[said:] if frame["t"] == "key.send"] == []
