"""The ports of one server belong to it alone."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from callcluster_common.keyset import Key
from kit.eventually import eventually
from kit.turn_agent import AgentProcess, MakeAgent, key_set
from kit.turn_client import TURNClient


async def test_a_slice_of_n_ports_carries_n_allocations(make_agent: MakeAgent, k1: Key, k2: Key) -> None:
    async with make_agent(relay_ports=4, TOTAL_QUOTA="100") as agent, AsyncExitStack() as stack:
        await agent.ready()
        # The port of the last self-check rests for a second or two.
        clients = [await stack.enter_async_context(agent.client(k1, f"user {n}")) for n in range(4)]
        for client in clients:
            await eventually(partial(allocated, client))
        async with agent.client(k1, "one too many") as another:
            assert (await another.allocate()).error == 508
        await eventually(lambda: carries(agent, 4))
        assert await agent.metric("callcluster_turn_relay_ports") == 4
        await eventually(lambda: counted_as_full(agent))

        # A full server is no broken one: it stays ready and takes part in rotations.
        await agent.rotate(key_set(k1, k2))
        await agent.ready()


async def allocated(client: TURNClient) -> bool:
    return (await client.allocate()).error is None


async def carries(agent: AgentProcess, allocations: int) -> bool:
    return (await agent.report()).allocations == allocations


async def counted_as_full(agent: AgentProcess) -> bool:
    return await agent.metric("callcluster_turn_refused_requests_total", code="508") >= 1


async def test_quotas_are_kept(make_agent: MakeAgent, k1: Key) -> None:
    async with make_agent(USER_QUOTA="2") as agent, AsyncExitStack() as stack:
        await agent.ready()
        answers = [
            (await (await stack.enter_async_context(agent.client(k1, "greedy"))).allocate()).error
            for _ in range(3)
        ]
        async with agent.client(k1, "modest") as modest:
            assert (await modest.allocate()).error is None
    assert answers == [None, None, 486]


def has_bound(sock: socket.socket, port: int) -> bool:
    """Whether the port could be had: the relay of the agent's own check may still hold it."""
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


async def test_another_programs_sockets_are_told(make_agent: MakeAgent) -> None:
    async with make_agent() as agent:
        await agent.ready()
        assert await agent.metric("callcluster_turn_relay_ports_foreign") == 0
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as in_slice,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as on_listener,
        ):
            await eventually(lambda: has_bound(in_slice, agent.max_port))
            on_listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            on_listener.bind(agent.server)

            await eventually(lambda: agent.metric_is("callcluster_turn_relay_ports_foreign", 1))
            await eventually(lambda: agent.metric_is("callcluster_turn_listeners_foreign", 1))
        await eventually(lambda: agent.metric_is("callcluster_turn_listeners_foreign", 0))


async def test_a_second_server_on_the_same_ports_ends_with_one_line(
    make_agent: MakeAgent, tmp_path: Path, ports: range, k1: Key
) -> None:
    async with make_agent() as first:
        await first.ready()
        (tmp_path / "twin").mkdir()
        variables = {"CONTROL_PORT": str(first.peer_port)}
        async with AgentProcess(tmp_path / "twin", ports, key_set(k1), variables) as twin:
            assert await twin.ended() == 4
        assert twin.errors == [
            f"callcluster_turn: UDP port {first.listening_port} on 127.0.0.1 can't be had "
            "(Address already in use): stop the program that holds it or set LISTENING_PORT"
        ]
        await first.ready()


async def test_a_taken_control_port_ends_it_with_one_line(make_agent: MakeAgent) -> None:
    agent = make_agent()
    with socket.socket() as taken:
        taken.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # connections of an earlier test may rest
        taken.bind(("127.0.0.1", agent.control_port))
        taken.listen()
        async with agent:
            assert await agent.ended() == 4
    assert len(agent.errors) == 1
    assert "CONTROL_PORT" in agent.errors[0]
