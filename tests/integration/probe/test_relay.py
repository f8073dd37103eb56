"""The probe through the real TURN agent and coturn."""

import asyncio
import os
import signal
import time
from contextlib import asynccontextmanager

import pytest
from callcluster_common import turn_credentials
from callcluster_common.messages.types import IceServer
from callcluster_probe import servers
from callcluster_probe.probe import probe
from callcluster_probe.scenario import ProbeSettings
from callcluster_probe.transport import IceSettings
from callcluster_probe.webrtc import PeerLink
from kit.eventually import eventually
from kit.signaling_server import signaling
from kit.turn_agent import AgentProcess, claimed_ports, key_set, new_key

pytestmark = pytest.mark.coturn


@pytest.fixture
async def turn(tmp_path):
    with claimed_ports() as ports:
        keys = key_set(new_key("k1"))
        (tmp_path / "turn").mkdir()
        async with AgentProcess(tmp_path / "turn", ports, keys) as agent:
            await agent.ready()
            yield agent


def uris(agent, *transports):
    return tuple(f"turn:127.0.0.1:{agent.listening_port}?transport={transport}" for transport in transports)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_goes_through_the_relay_alone(turn_files, turn, transport):
    addresses = uris(turn, "udp", "tcp")
    with signaling(**turn_files(addresses, turn.keyset)) as server:
        report = await probe(ProbeSettings(server.url, relay=True, turn_transport=transport, duration=1))
    assert report.error is None
    assert report.route == "relay"
    assert report.turn == addresses[("udp", "tcp").index(transport)]
    for member in report.members:
        assert (member.local_candidate, member.remote_candidate) == ("relay", "relay")
        assert member.protocol == transport
        assert member.opened > 30
        assert member.opened + member.early == member.received
    assert report.stranger.opened == 0


async def test_with_turn_stopped_the_probe_says_which_server_did_not_answer(turn_files, turn):
    turn.terminate()
    await turn.ended()
    with signaling(**turn_files(uris(turn, "udp"), turn.keyset)) as server:
        report = await probe(ProbeSettings(server.url, relay=True, duration=1))
    assert not report.ok
    assert report.error == f"no relay candidate: TURN at {uris(turn, 'udp')[0]} did not answer"


async def test_with_another_secret_the_probe_says_that_turn_refused(turn_files, turn):
    with signaling(**turn_files(uris(turn, "udp"), key_set(new_key("k2")))) as server:
        report = await probe(ProbeSettings(server.url, relay=True, duration=1))
    assert not report.ok
    assert f"TURN at {uris(turn, 'udp')[0]} refused: 401" in report.error


async def test_with_turn_down_a_direct_call_still_works(turn_files):
    address = ("turn:127.0.0.1:1?transport=udp",)
    with signaling(**turn_files(address, key_set(new_key("k1")))) as server:
        report = await probe(ProbeSettings(server.url, duration=1))
    assert report.ok
    assert report.route == "direct"


async def test_a_bug_in_the_asking_for_a_relay_is_no_success(turn_files, monkeypatch):
    async def broken(**_):
        raise LookupError("a bug")

    monkeypatch.setattr(servers, "relayed_candidate", broken)
    address = ("turn:127.0.0.1:1?transport=udp",)
    files = turn_files(address, key_set(new_key("k1")))
    with signaling(**files) as server, pytest.raises(ExceptionGroup) as raised:
        await probe(ProbeSettings(server.url, duration=1))
    assert raised.group_contains(LookupError, match="a bug")


class End:
    """One end of a connection that may use ``turn``; late candidates go to the other end."""

    def __init__(self, turn, relay_only=False):
        username, credential = turn_credentials.mint(turn.keyset.minting, "test", int(time.time()) + 60)
        servers = (IceServer(list(uris(turn, "udp")), username, credential),)
        self.told = []
        self.link = PeerLink(
            IceSettings(servers, relay_only),
            ("mic",),
            lambda *_: None,
            lambda: None,
            lambda _: None,
            self._carry,
        )

    def _carry(self, ice):
        self.told.append(ice)


def without_addresses(sdp):
    """As if all that is known at once were of no use to the other side."""
    return "".join(line for line in sdp.splitlines(True) if not line.startswith("a=candidate:"))


@asynccontextmanager
async def ends(turn, **options):
    one, other = End(turn, **options), End(turn, **options)
    try:
        yield one, other
    finally:
        await asyncio.gather(one.link.close(), other.link.close())


async def test_a_relay_that_comes_behind_the_description_carries_the_call(turn):
    async with ends(turn) as (one, other):
        answer = await other.link.answer(without_addresses(await one.link.offer()))
        await one.link.accept(without_addresses(answer))
        await eventually(lambda: one.told and one.told[-1].end and other.told and other.told[-1].end)
        for here, there in ((one, other), (other, one)):
            for ice in there.told:
                await here.link.add_candidates(ice.candidates, ice.end)
        await eventually(lambda: one.link.state == other.link.state == "connected", within=20)
        assert one.link.route().relayed


async def test_a_connection_ends_though_its_turn_server_is_silent(turn):
    async with ends(turn, relay_only=True) as (one, other):
        await one.link.accept(await other.link.answer(await one.link.offer()))
        await eventually(lambda: one.link.state == other.link.state == "connected")
        coturn = turn.coturn_pid
        os.kill(coturn, signal.SIGSTOP)
        try:
            async with asyncio.timeout(20):  # aioice alone asks for 40 s to have its relays taken back
                await asyncio.gather(one.link.close(), other.link.close())
        finally:
            os.kill(coturn, signal.SIGCONT)
