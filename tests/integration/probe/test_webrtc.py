"""What the probe relies on in aiortc and aioice, over real sockets."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from callcluster_common.messages.types import IceCandidate, IceServer
from callcluster_probe import servers
from callcluster_probe.transport import IceSettings, NegotiationError, Packets
from callcluster_probe.webrtc import PeerLink
from kit.eventually import eventually

KEY_FRAME = b"\x00" * 10 + b"k" * 3000
DELTA_FRAME = b"\x01" * 10 + b"d" * 700


class Side:
    """One end, and what came to it."""

    def __init__(self, sends=("mic", "cam"), servers=(), relay_only=False):
        self.frames = []
        self.key_frames_wanted = 0
        self.states = []
        self.told = []
        self.link = PeerLink(
            IceSettings(servers, relay_only),
            sends,
            lambda source, frame: self.frames.append((source, frame)),
            self._wanted,
            self.states.append,
            self.told.append,
        )

    def _wanted(self):
        self.key_frames_wanted += 1

    def of(self, source):
        return [frame for got, frame in self.frames if got == source]


@asynccontextmanager
async def connected(first=None, second=None):
    one, other = first or Side(), second or Side()
    try:
        await one.link.accept(await other.link.answer(await one.link.offer()))
        await eventually(lambda: one.link.state == other.link.state == "connected")
        yield one, other
    finally:
        await asyncio.gather(one.link.close(), other.link.close())


@pytest.fixture
def silent_servers(monkeypatch, unused_port):
    """A STUN and a TURN server that never answer, and patience without end."""
    monkeypatch.setattr(servers, "ANSWER_WITHIN_S", 3600)
    turn = IceServer([f"turn:127.0.0.1:{unused_port}?transport=udp"], "user", "pass")
    return (IceServer([f"stun:127.0.0.1:{unused_port}"]), turn)


def open_sockets():
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:
            continue  # the listing's own
    return sorted(link for link in links if link.startswith("socket:"))


async def test_encoded_frames_arrive_as_they_were_sent():
    async with connected() as (one, other):
        sounds = [bytes([n]) * 50 for n in range(40)]

        async def send():
            for n, sound in enumerate(sounds):
                one.link.send("mic", sound, n * 960)
                other.link.send("cam", KEY_FRAME if n == 0 else DELTA_FRAME, n * 1800)
                await asyncio.sleep(0.01)

        await send()
        await eventually(lambda: len(other.of("mic")) == 40 and len(one.of("cam")) == 40)
        assert other.of("mic") == sounds
        assert one.of("cam") == [KEY_FRAME, *[DELTA_FRAME] * 39]
        packets = await one.link.packets()
        assert packets.received == 42
        assert packets.lost == 0


async def test_three_sections_stand_in_their_order_and_only_what_is_sent_is_offered():
    one, other = Side(sends=("mic",)), Side(sends=())
    async with connected(one, other):
        offer = one.link._connection.localDescription.sdp
        kinds = [line.split()[0] for line in offer.splitlines() if line.startswith("m=")]
        directions = [line for line in offer.splitlines() if line in ("a=sendrecv", "a=recvonly")]
        assert kinds == ["m=audio", "m=video", "m=video"]
        assert directions == ["a=sendrecv", "a=recvonly", "a=recvonly"]
        codecs = {line.split()[1] for line in offer.splitlines() if line.startswith("a=rtpmap:")}
        assert codecs == {"opus/48000/2", "VP8/90000", "rtx/90000"}


async def test_a_key_frame_can_be_asked_for():
    async with connected() as (one, other):
        one.link.want_key_frame("cam")
        other.link.send("cam", DELTA_FRAME, 0)
        await eventually(lambda: other.key_frames_wanted)


async def test_the_route_is_known_once_there_is_one():
    one = Side()
    assert one.link.route() is None
    async with connected(one) as (one, other):
        for side in (one, other):
            route = side.link.route()
            assert not route.relayed
            assert route.protocol == "udp"


async def test_a_side_that_leaves_is_noticed():
    async with connected() as (one, other):
        await one.link.close()
        await eventually(lambda: other.states[-1] == "closed")


async def test_servers_that_do_not_answer_hold_nothing_up(silent_servers):
    async with connected(Side(servers=silent_servers), Side(servers=silent_servers)) as (one, other):
        one.link.send("mic", b"direct", 960)
        await eventually(lambda: other.frames)
        assert one.told == other.told == []


async def test_the_other_side_hears_when_no_more_addresses_will_come(silent_servers, monkeypatch):
    monkeypatch.setattr(servers, "ANSWER_WITHIN_S", 0.2)
    one, plain = Side(servers=silent_servers), Side()
    assert "end-of-candidates" not in await one.link.offer()
    assert "end-of-candidates" in await plain.link.offer()
    await eventually(lambda: one.told)
    assert [(ice.candidates, ice.end) for ice in one.told] == [([], True)]
    assert one.link.relay_trouble == "did not answer"
    await asyncio.gather(one.link.close(), plain.link.close())


@pytest.mark.parametrize("place", ["a..b:3478", "127.0.0.1:70000"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_an_address_that_can_not_be_one_counts_as_a_server_that_can_not_be_reached(place, transport):
    turn = IceServer([f"turn:{place}?transport={transport}"], "user", "pass")
    one = Side(servers=(IceServer([f"stun:{place}"]), turn))
    await one.link.offer()
    await eventually(lambda: [ice.end for ice in one.told] == [True])
    assert one.link.relay_trouble.startswith("can't be reached: ")
    one.link.fail_if_broken()
    await one.link.close()


@pytest.mark.parametrize("relay_only", [False, True])
async def test_a_bug_in_the_asking_ends_the_candidates_and_is_raised(
    silent_servers, relay_only, monkeypatch
):
    async def broken(**_):
        raise LookupError("a bug")

    monkeypatch.setattr(servers, "relayed_candidate", broken)
    one = Side(servers=silent_servers, relay_only=relay_only)
    one.link.fail_if_broken()
    await one.link.offer()
    if not relay_only:  # with relays alone, the offer waited for the end and says it itself
        await eventually(lambda: [ice.end for ice in one.told] == [True])
    assert "end-of-candidates" in one.link._connection.localDescription.sdp
    with pytest.raises(ExceptionGroup) as raised:
        one.link.fail_if_broken()
    assert raised.group_contains(LookupError, match="a bug")
    await one.link.close()


@pytest.mark.parametrize("relay_only", [False, True])
async def test_closed_at_any_moment_of_an_offer_no_socket_is_left(silent_servers, relay_only):
    before = open_sockets()
    for moment in range(25):
        link = Side(servers=silent_servers, relay_only=relay_only).link
        offering = asyncio.create_task(link.offer())
        for _ in range(moment):
            await asyncio.sleep(0)
        offering.cancel()
        await asyncio.gather(offering, return_exceptions=True)
        await link.close()
    await eventually(lambda: open_sockets() == before)


async def test_frames_before_the_connection_are_dropped():
    one = Side()
    one.link.send("mic", b"early", 0)
    async with connected(one) as (one, other):
        one.link.send("mic", b"now", 960)
        await eventually(lambda: other.frames)
        assert other.frames == [("mic", b"now")]
        assert await one.link.packets() == Packets()


@pytest.mark.parametrize(
    "sdp", ["", "v=0", "v=0\r\nm=audio x", "nonsense", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\n"]
)
async def test_a_broken_offer_is_one_kind_of_error(sdp):
    one = Side()
    with pytest.raises(NegotiationError, match=r"offer|answer"):
        await one.link.answer(sdp)
    await one.link.close()


async def test_broken_candidates_are_ignored():
    async with connected() as (one, _):
        await one.link.add_candidates(
            [IceCandidate("candidate:nonsense", "0", 0), IceCandidate("", "0", 0)], True
        )
        assert one.link.state == "connected"


async def test_candidates_of_another_description_are_ignored():
    async with connected() as (one, _):
        known = len(one.link._ice.remote_candidates)
        line = "candidate:1 1 udp 1 192.0.2.77 9 typ host"
        await one.link.add_candidates([IceCandidate(line, "0", 0, "other")], False)
        assert len(one.link._ice.remote_candidates) == known


async def test_another_transport_is_told_from_a_renegotiation():
    one, other, third = Side(), Side(), Side()
    async with connected(one, other):
        offer = one.link._connection.localDescription.sdp
        assert other.link.same_transport(offer)
        assert not other.link.same_transport(await third.link.offer())
    await third.link.close()


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        (None, "turn:t:3478?transport=udp"),
        ("udp", "turn:t:3478?transport=udp"),
        ("tcp", "turn:t:3478?transport=tcp"),
        ("tls", "turns:t:5349?transport=tcp"),
    ],
)
def test_the_turn_address_follows_the_wanted_transport(transport, expected):
    urls = ["turn:t:3478?transport=udp", "turn:t:3478?transport=tcp", "turns:t:5349?transport=tcp"]
    servers = (IceServer(["stun:t:3478"]), IceServer(urls, "user", "pass"))
    assert IceSettings(servers, turn_transport=transport).turn_url() == expected


def test_without_a_turn_server_there_is_no_address():
    assert IceSettings((IceServer(["stun:t:3478"]),)).turn_url() is None
