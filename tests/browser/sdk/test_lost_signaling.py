from __future__ import annotations

import asyncio

import pytest
from browser.conftest import Opener
from browser.sdk.tabs import Look
from browser.sdk.wire import Wire
from kit.signaling_server import SignalingProcess, signaling

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]


def state(look: Look) -> str:
    return str(look["states"][-1]["state"])


def peer_names(look: Look) -> list[str]:
    return [member["name"] for member in look["members"]["members"] if not member["isSelf"]]


async def test_media_goes_on_while_the_socket_is_gone_and_the_session_resumes(
    open_tab: Opener, server: SignalingProcess, room: str
) -> None:
    async with Wire(server.port) as wire:
        ada = await (await open_tab(wire.port)).join(room, name="Ada")
        bob = await (await open_tab()).join(room, name="Bob")
        await ada.flows()
        connections = (await ada.look())["connections"]

        wire.cut()
        await ada.until(lambda look: state(look) == "reconnecting")
        await bob.until(lambda look: any(member["reconnecting"] for member in look["members"]["members"]))
        await ada.flows()
        await bob.flows()
        unsent = asyncio.ensure_future(ada.page.evaluate("call.send('kept')"))
        await bob.page.evaluate("call.send('missed')")

        wire.mend()
        await ada.until(lambda look: state(look) == "joined")
        await ada.until(lambda look: [message["data"] for message in look["messages"]] == ["missed"])
        await bob.until(lambda look: [message["data"] for message in look["messages"]] == ["kept"])
        await unsent
        await ada.flows()
        look = await ada.look()
        assert (look["connections"], len(look["states"])) == (
            connections,
            4,
        )  # connecting, joined, and once more


async def test_who_left_meanwhile_is_gone_after_a_resume(
    open_tab: Opener, server: SignalingProcess, room: str
) -> None:
    async with Wire(server.port) as wire:
        ada = await (await open_tab(wire.port)).join(room, name="Ada")
        bob = await (await open_tab()).join(room, name="Bob")
        await ada.flows()
        wire.cut()
        await ada.until(lambda look: state(look) == "reconnecting")
        await bob.page.evaluate("call.leave()")
        cid = await (await open_tab()).join(room, name="Cid")
        wire.mend()
        await ada.until(lambda look: peer_names(look) == ["Cid"])
        await ada.flows()
        await cid.flows()


async def test_a_call_comes_back_after_a_server_that_forgot_everything(open_tab: Opener, room: str) -> None:
    async with Wire(0) as wire:
        with signaling(GUEST_ACCESS="true") as first:
            wire.target = first.port
            ada = await (await open_tab(wire.port)).join(room, name="Ada")
            bob = await (await open_tab(wire.port)).join(room, name="Bob")
            await ada.flows()
        for tab in (ada, bob):
            await tab.until(lambda look: state(look) == "reconnecting")
        await ada.flows()
        with signaling(GUEST_ACCESS="true") as second:
            wire.target = second.port
            for tab, name in ((ada, "Bob"), (bob, "Ada")):
                await tab.until(lambda look: state(look) == "joined", within=40)
                assert peer_names(await tab.until(peer_names)) == [name]
                await tab.flows()
            assert len({(await tab.look())["code"]["code"] for tab in (ada, bob)}) == 1


async def test_a_session_that_is_lost_while_it_is_being_made_does_not_join_under_the_next_ones_name(
    open_tab: Opener, room: str
) -> None:
    async with Wire(0) as wire:
        with signaling(GUEST_ACCESS="true") as first:
            wire.target = first.port
            ada = await (await open_tab(wire.port)).join(room, name="Ada")
            await ada.page.evaluate(
                """async () => {
                    const { Room } = await import('/sdk/room.js')
                    const { prepare } = Room
                    window.preparing = []
                    const opened = new Promise((resolve) => { window.open = resolve })
                    Room.prepare = async (options) => {
                        preparing.push(options.sid)
                        await opened
                        return prepare(options)
                    }
                }"""
            )
        for again in (1, 2):
            with signaling(GUEST_ACCESS="true") as other:
                wire.target = other.port
                await ada.page.wait_for_function("again => preparing.length === again", arg=again)
                if again == 1:
                    continue
                await ada.page.evaluate("open()")
                await ada.until(lambda look: state(look) == "joined")
                bob = await (await open_tab(wire.port)).join(room, name="Bob")
                for tab, name in ((ada, "Bob"), (bob, "Ada")):
                    await tab.until(lambda look, name=name: peer_names(look) == [name])  # type: ignore[misc]
                    await tab.flows()


async def test_a_tab_that_is_looked_at_again_finds_out_at_once_whether_its_socket_lives(
    open_tab: Opener, room: str
) -> None:
    ada = await (await open_tab()).join(room, media=False)
    await ada.page.evaluate(
        """() => {
            window.pings = 0
            const { send } = WebSocket.prototype
            WebSocket.prototype.send = function (text) {
                if (JSON.parse(text).t === 'ping') window.pings += 1
                return send.call(this, text)
            }
            document.dispatchEvent(new Event('visibilitychange'))
        }"""
    )
    assert await ada.page.evaluate("pings") == 1
    await ada.page.evaluate("call.leave()")
    await ada.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert await ada.page.evaluate("pings") == 1


async def test_two_who_wait_for_each_others_offer_connect(open_tab: Opener) -> None:
    tab = await open_tab()
    states = await tab.page.evaluate(
        """async () => {
            const { Peer } = await import('/sdk/peer.js')
            const shared = {
                offers: false,
                frames: { attach: () => 0, release: () => undefined },
                tracks: { mic: null, cam: null, screen: null },
                iceServers: [],
                iceTransportPolicy: 'all',
                onTrack: () => undefined,
                onWarning: (code) => { throw new Error(code) },
            }
            const peers = {}
            const make = (selfSid, sid) => {
                const send = async (type, d) => peers[sid].receive(type, structuredClone(d))
                peers[selfSid] = new Peer({ ...shared, selfSid, sid, send })
            }
            make('ada-1234', 'bob-1234')
            make('bob-1234', 'ada-1234')
            for (const peer of Object.values(peers)) peer.start()
            const look = () => seen.connections.map(({ connectionState }) => connectionState)
            const over = Date.now() + 15_000
            while (Date.now() < over && look().some((state) => state !== 'connected')) {
                await new Promise((go) => setTimeout(go, 100))
            }
            const states = look()
            for (const peer of Object.values(peers)) peer.close()
            return states
        }"""
    )
    assert states == ["connected", "connected"]
