"""A server leaves without dropping a call."""

from __future__ import annotations

import time
from pathlib import Path

from callcluster_common.keyset import Key
from kit.eventually import eventually
from kit.turn_agent import AgentProcess, MakeAgent, key_set
from kit.turn_client import EchoPeer, Pump

REFUSED = (401, 403)
"""4.6 says 401 because no key is left, 4.17 says 403 because it drains."""


async def turns_away(agent: AgentProcess, key: Key) -> bool:
    """Whether a newcomer is refused; one that is let in leaves again."""
    async with agent.client(key, "newcomer") as newcomer:
        error = (await newcomer.allocate()).error
        if error is None:
            await newcomer.refresh(0)
        return error in REFUSED


async def test_a_terminated_server_carries_its_call_to_the_end(make_agent: MakeAgent, k1: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
        coturn = agent.coturn_pid
        async with EchoPeer(("127.0.0.1", agent.peer_port)) as peer, agent.client(k1) as client:
            assert (await client.allocate()).error is None
            assert (await client.bind_channel(peer.address)).error is None
            assert await client.echo(b"the echo is up")
            async with Pump(client) as pump:
                agent.terminate()
                await eventually(lambda: turns_away(agent, k1))
                assert (await client.refresh()).error is None
                await agent.ready()
                assert await agent.is_draining()
                assert await agent.metric("callcluster_turn_draining") == 1
            assert pump.lost == 0
            assert agent.process.returncode is None
            assert (await client.refresh(0)).error is None
            assert await agent.ended() == 0
        assert not Path(f"/proc/{coturn}").exists()


async def test_draining_alone_does_not_end_the_process(make_agent: MakeAgent, k1: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
        async with agent.client(k1) as client:
            assert (await client.allocate()).error is None
            assert (await agent.post("/drain"))[0] == 202
            await eventually(lambda: turns_away(agent, k1))
            assert (await client.refresh(0)).error is None

        await eventually(lambda: agent.metric_is("callcluster_turn_allocations_current", 0))
        # Well past the readings after which a terminated server would end.
        later = time.monotonic() + 3
        await eventually(lambda: time.monotonic() > later)
        assert agent.process.returncode is None
        await agent.ready()

        agent.terminate()
        assert await agent.ended() == 0


async def test_a_second_termination_does_not_wait_for_calls(make_agent: MakeAgent, k1: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
        async with agent.client(k1) as client:
            assert (await client.allocate()).error is None
            agent.terminate()
            await eventually(lambda: agent.is_draining())
            agent.terminate()
            assert await agent.ended() == 0
        assert "ending with live allocations" in agent.log


async def test_the_deadline_ends_a_drain(make_agent: MakeAgent, k1: Key) -> None:
    async with make_agent(DRAIN_TIMEOUT_SECONDS="1") as agent:
        await agent.ready()
        async with agent.client(k1) as client:
            assert (await client.allocate()).error is None
            agent.terminate()
            assert await agent.ended() == 0
        assert "ending with live allocations" in agent.log


async def test_a_server_that_never_got_ready_ends_when_asked(make_agent: MakeAgent, tmp_path: Path) -> None:
    async with make_agent(EXTERNAL_ADDRESS_FILE=str(tmp_path / "external")) as agent:
        await eventually(lambda: agent.says("waiting for the external address"))
        agent.terminate()
        assert await agent.ended() == 0


async def test_a_draining_server_acknowledges_sets_and_accepts_none(
    make_agent: MakeAgent, k1: Key, k2: Key
) -> None:
    """It holds up no rotation."""
    async with make_agent() as agent:
        await agent.ready()
        async with agent.client(k1) as client:
            assert (await client.allocate()).error is None
            assert (await agent.post("/drain"))[0] == 202
            await eventually(lambda: turns_away(agent, k1))
            await agent.rotate(key_set(k2))
            assert await turns_away(agent, k2)
            assert (await client.refresh()).error is None


async def test_a_server_that_dies_while_draining_is_not_started_again(
    make_agent: MakeAgent, k1: Key
) -> None:
    async with make_agent() as agent:
        await agent.ready()
        async with agent.client(k1) as client:
            assert (await client.allocate()).error is None
            assert (await agent.post("/drain"))[0] == 202
            agent.kill_coturn()
            await eventually(lambda: agent.metric_is("callcluster_turn_coturn_up", 0))
            assert await agent.metric("callcluster_turn_coturn_restarts_total") == 0
        agent.terminate()
        assert await agent.ended() == 0
