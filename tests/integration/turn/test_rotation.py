"""Keys rotate under running calls."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing

from callcluster_common.keyset import Key, fingerprint
from kit.eventually import eventually
from kit.turn_agent import MakeAgent, key_set
from kit.turn_client import EchoPeer, Pump


async def test_no_packet_is_lost_over_a_whole_rotation(make_agent: MakeAgent, k1: Key, k2: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
        expiry = time.time() + 8
        async with (
            EchoPeer(("127.0.0.1", agent.peer_port)) as peer,
            agent.client(k1, seconds=8) as client,
        ):
            assert (await client.allocate()).error is None
            assert (await client.bind_channel(peer.address)).error is None
            assert await client.echo(b"the echo is up")
            async with Pump(client) as pump:
                await agent.rotate(key_set(k1, k2, mint=k1))  # stage
                await agent.rotate(key_set(k1, k2, mint=k2))  # switch
                async with agent.client(k1, "still valid") as late:
                    assert (await late.allocate()).error is None
                await agent.rotate(key_set(k2))  # retire
                async with agent.client(k1, "too late") as refused:
                    assert (await refused.allocate()).error == 401
                async with agent.client(k2, "newcomer") as newcomer:
                    assert (await newcomer.allocate()).error is None
                # The first call's key is gone and its credential expired: it goes on all the same.
                await eventually(lambda: time.time() > expiry)
                assert (await client.refresh()).error is None
                assert (await client.permit("127.0.0.2")).error is None
                assert (await client.bind_channel(("127.0.0.1", agent.peer_port + 1), 0x4001)).error is None
            assert pump.sent > 50
            assert pump.lost == 0


async def test_a_writer_in_mid_transaction_turns_nobody_away(make_agent: MakeAgent, k1: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
        with closing(sqlite3.connect(agent.state / "turndb", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM turn_secret")
            for number in range(5):
                async with agent.client(k1, f"user {number}") as client:
                    assert (await client.allocate()).error is None
            writer.execute("ROLLBACK")


async def test_a_set_waits_for_a_writer_and_is_acknowledged_then(
    make_agent: MakeAgent, k1: Key, k2: Key
) -> None:
    async with make_agent() as agent:
        await agent.ready()
        with closing(sqlite3.connect(agent.state / "turndb", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            agent.write_keys(key_set(k1, k2))
            # Long enough for the agent to see the file and to stand at the lock.
            seen = time.monotonic() + 2
            await eventually(lambda: time.monotonic() > seen)
            assert (await agent.report()).key_set == fingerprint(key_set(k1))
            writer.execute("ROLLBACK")
        await agent.acknowledged(key_set(k1, k2))


async def test_a_set_is_acknowledged_only_after_the_server_was_seen_to_accept_it(
    make_agent: MakeAgent, k1: Key, k2: Key
) -> None:
    async with make_agent() as agent:
        await agent.ready()
        coturn = agent.coturn_pid
        os.kill(coturn, signal.SIGSTOP)
        try:
            agent.write_keys(key_set(k2))
            await eventually(lambda: '"mint": "k2"' in agent.log)
            await eventually(agent.not_ready)
            assert (await agent.report()).key_set == fingerprint(key_set(k1))
        finally:
            os.kill(coturn, signal.SIGCONT)
        await agent.acknowledged(key_set(k2))
        await agent.ready()


async def test_a_self_check_is_no_allocation(make_agent: MakeAgent, k2: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
        assert (await agent.report()).allocations == 0
        await agent.rotate(key_set(k2))
        assert (await agent.report()).allocations == 0


async def test_without_keys_nobody_gets_in(make_agent: MakeAgent, k1: Key) -> None:
    async with make_agent(keys=False) as agent:
        await eventually(lambda: agent.says("no key set yet"))
        async with agent.client(k1) as client:
            assert (await client.allocate()).error == 401

        agent.write_keys(key_set(k1))
        await agent.ready()


async def test_an_unusable_set_leaves_the_last_one_in_force(make_agent: MakeAgent, k1: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
        agent.keys_file.write_text('{"mint": "k9", "keys": []}')
        await eventually(lambda: agent.metric_is("callcluster_turn_key_set_errors_total", 1))

        assert (await agent.report()).key_set == fingerprint(key_set(k1))
        await agent.ready()
        async with agent.client(k1) as client:
            assert (await client.allocate()).error is None


async def test_keys_of_an_earlier_run_are_not_accepted(make_agent: MakeAgent, k1: Key, k2: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
    agent.write_keys(key_set(k2))
    async with agent:
        await agent.ready()
        async with agent.client(k1) as client:
            assert (await client.allocate()).error == 401
