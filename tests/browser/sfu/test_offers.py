"""Offers that Chromium makes, answered by the SFU and taken back by Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from browser.app.chromium import chromium
from callcluster_sfu.negotiation import AddPeer, Forward, Outcome, SetExtensions
from callcluster_sfu.sdp import parse, serialize
from kit.sfu_offers import SfuSide
from playwright.async_api import BrowserContext, Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

HARNESS = """
globalThis.client = {
    async start() {
        const video = { width: 1280, height: 720 }
        this.media = await navigator.mediaDevices.getUserMedia({ audio: true, video })
        this.connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' })
    },
    send(kind, codecs, encodings) {
        const [track] = kind === 'audio' ? this.media.getAudioTracks() : this.media.getVideoTracks()
        const init = { direction: 'sendonly', streams: [this.media] }
        if (encodings) init.sendEncodings = encodings
        this.prefer(this.connection.addTransceiver(track, init), kind, codecs)
    },
    receive(kind, codecs) {
        this.prefer(this.connection.addTransceiver(kind, { direction: 'recvonly' }), kind, codecs)
    },
    describe(position, suffixes) {
        const transceiver = this.connection.getTransceivers()[position]
        const extensions = transceiver.getHeaderExtensionsToNegotiate()
        for (const extension of extensions) {
            const wanted = suffixes.some(suffix => extension.uri.endsWith(suffix))
            extension.direction = wanted ? 'sendrecv' : 'stopped'
        }
        transceiver.setHeaderExtensionsToNegotiate(extensions)
    },
    prefer(transceiver, kind, codecs) {
        if (!codecs) return
        const known = RTCRtpReceiver.getCapabilities(kind).codecs
        const name = codec => codec.mimeType.split('/')[1]
        transceiver.setCodecPreferences(known.filter(codec => codecs.includes(name(codec))))
    },
    async offer(options) {
        await this.connection.setLocalDescription(await this.connection.createOffer(options))
        return this.connection.localDescription.sdp
    },
    async answer(sdp) {
        await this.connection.setRemoteDescription({ type: 'answer', sdp })
        return this.connection.getTransceivers().map(({ mid, currentDirection, sender }) => ({
            mid,
            direction: currentDirection,
            rids: sender.getParameters().encodings.map(({ rid }) => rid).filter(Boolean),
            sends: sender.getParameters().codecs.map(({ mimeType }) => mimeType.split('/')[1]),
            extensions: sender.getParameters().headerExtensions.map(({ uri }) => uri.split(/[:/#]/).at(-1)),
        }))
    },
}
"""
SIMULCAST = [
    {"rid": "q", "scaleResolutionDownBy": 4},
    {"rid": "h", "scaleResolutionDownBy": 2},
    {"rid": "f"},
]


class Client:
    """A connection in a tab, and the SFU's side of it."""

    def __init__(self, tab: Page) -> None:
        self._tab = tab
        self.sfu = SfuSide()

    async def send(self, kind: str, codecs: list[str] | None = None, encodings: Any = None) -> None:
        await self._tab.evaluate("a => client.send(...a)", [kind, codecs, encodings])

    async def receive(self, kind: str, codecs: list[str] | None = None) -> None:
        await self._tab.evaluate("a => client.receive(...a)", [kind, codecs])

    async def run(self, script: str) -> None:
        await self._tab.evaluate(script)

    async def negotiate(
        self, forwards: Mapping[str, Forward] | None = None, *, restart: bool = False
    ) -> tuple[Outcome, list[dict[str, Any]]]:
        """One round; the transceivers as the browser has them afterwards."""
        sdp = await self._tab.evaluate("o => client.offer(o)", {"iceRestart": restart})
        outcome = self.sfu.answer(parse(sdp), forwards)
        return outcome, await self._tab.evaluate("s => client.answer(s)", serialize(outcome.answer))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[BrowserContext]:
    async with chromium() as context:
        await context.route("http://localhost/", _blank)
        yield context


async def _blank(route: Route) -> None:
    await route.fulfill(body="<!doctype html><title>SFU</title>", content_type="text/html")


@pytest_asyncio.fixture(loop_scope="module")
async def client(browser: BrowserContext) -> AsyncIterator[Client]:
    tab = await browser.new_page()
    await tab.goto("http://localhost/")
    await tab.evaluate(HARNESS)
    await tab.evaluate("client.start()")
    yield Client(tab)
    await tab.close()


async def test_audio_and_video_with_all_codecs_go_out(client: Client) -> None:
    await client.send("audio")
    await client.send("video")
    outcome, (sound, picture) = await client.negotiate()
    assert (sound["direction"], picture["direction"]) == ("sendonly", "sendonly")
    assert sound["sends"] == ["opus"]
    assert picture["sends"] == ["VP8", "rtx"]
    assert [track.codec for track in outcome.state.published] == ["opus", "vp8"]


async def test_three_layers_of_simulcast_with_the_dependency_descriptor(client: Client) -> None:
    await client.send("video", ["VP8", "rtx"], SIMULCAST)
    outcome, (picture,) = await client.negotiate()
    assert picture["rids"] == ["q", "h", "f"]
    assert "dependency-descriptor-rtp-header-extension" in picture["extensions"]
    (track,) = outcome.state.published
    assert [encoding.rid for encoding in track.encodings] == ["q", "h", "f"]
    added = outcome.commands[0]
    assert isinstance(added, AddPeer)
    assert added.extensions.dependency


async def test_vp9_in_layers_of_one_stream(client: Client) -> None:
    await client.send("video", ["VP9", "rtx"], [{"scalabilityMode": "L3T3_KEY"}])
    outcome, (picture,) = await client.negotiate()
    assert (picture["direction"], picture["sends"]) == ("sendonly", ["VP9", "rtx"])
    (track,) = outcome.state.published
    (encoding,) = track.encodings
    assert (track.codec, encoding.rid) == ("vp9", None)
    assert encoding.ssrc is not None
    assert encoding.rtx_ssrc is not None


async def test_a_meeting_grows_shrinks_and_keeps_its_sections(client: Client) -> None:
    await client.send("audio", ["opus"])
    await client.send("video", ["VP8", "VP9", "rtx"], SIMULCAST)
    await client.negotiate()
    for _ in range(10):
        await client.receive("audio", ["opus"])
        await client.receive("video", ["VP8", "VP9", "rtx"])
    forwards = {
        str(mid): Forward(mid, "audio", "opus", f"member{mid}", f"t{mid}")
        if mid % 2 == 0
        else Forward(mid, "video", "vp9" if mid == 3 else "vp8", f"member{mid - 1}", f"t{mid}")
        for mid in range(2, 22)
    }
    grown, seen = await client.negotiate(forwards)
    assert [each["direction"] for each in seen] == ["sendonly"] * 2 + ["recvonly"] * 20
    assert [type(command).__name__ for command in grown.commands] == ["AddLeg"] * 20

    await client.run("client.connection.getTransceivers()[3].stop()")
    shrunk, seen = await client.negotiate({mid: forwards[mid] for mid in forwards if mid != "3"})
    assert len(shrunk.commands) == 1
    assert len(seen) == 21

    await client.receive("video", ["VP8", "rtx"])
    recycled, seen = await client.negotiate(
        {
            **{mid: forwards[mid] for mid in forwards if mid != "3"},
            "22": Forward(99, "video", "vp8", "late", "t99"),
        }
    )
    assert len(recycled.answer.sections) == 22
    assert recycled.answer.sections[3].mid == "22"
    assert {each["mid"]: each["direction"] for each in seen}["22"] == "recvonly"
    assert len(recycled.commands) == 1


async def test_an_ice_restart_changes_the_credentials_alone(client: Client) -> None:
    await client.send("audio", ["opus"])
    first, _ = await client.negotiate()
    second, (sound,) = await client.negotiate(restart=True)
    assert first.answer.transport.ice != second.answer.transport.ice
    assert [type(command).__name__ for command in second.commands] == ["RestartIce"]
    assert sound["direction"] == "sendonly"


async def test_a_track_that_nobody_bound_stays_silent_until_it_is(client: Client) -> None:
    await client.send("audio", ["opus"])
    await client.receive("video", ["VP8", "rtx"])
    _, seen = await client.negotiate()
    assert seen[1]["direction"] == "inactive"
    _, seen = await client.negotiate({"1": Forward(5, "video", "vp8", "late", "t99")})
    assert seen[1]["direction"] == "recvonly"


async def test_a_subscriber_can_ask_for_the_dependency_descriptor_and_little_else(client: Client) -> None:
    await client.receive("video", ["VP8", "rtx"])
    plain, _ = await client.negotiate({"0": Forward(5, "video", "vp8", "member", "t5")})
    wanted = ["mid", "transport-wide-cc-extensions-01", "dependency-descriptor-rtp-header-extension"]
    await client.run(f"client.describe(0, {wanted})")
    outcome, seen = await client.negotiate({"0": Forward(5, "video", "vp8", "member", "t5")})
    assert isinstance(plain.commands[0], AddPeer)
    assert not plain.commands[0].extensions.dependency
    (changed,) = outcome.commands
    assert isinstance(changed, SetExtensions)
    assert changed.extensions.dependency
    assert len(outcome.answer.sections[0].extensions) == 3
    assert seen[0]["direction"] == "recvonly"
