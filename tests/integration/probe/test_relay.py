"""The probe through the real TURN agent and coturn."""

import asyncio

import pytest
from callcluster_probe.probe import ProbeSettings, probe
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
        assert member.opened == member.received > 30
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
        async with asyncio.timeout(30):
            report = await probe(ProbeSettings(server.url, duration=1))
    assert report.ok
    assert report.route == "direct"
