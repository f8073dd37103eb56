"""Rotation under load: allocations relay while keys are staged, switched and retired under them.

Each allocation sends numbered packets through the real coturn to an echoing peer all the time. After each
rotation every allocation is refreshed and every packet must have come back. Prints one JSON line a figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from callcluster_common.keyset import Key, KeySet
from kit.turn_agent import AgentProcess, claimed_ports, key_set, new_key
from kit.turn_client import EchoPeer, Pump, TURNClient

INTERVAL_SECONDS = 0.2
"""Between two packets of one allocation: with 200 of them, 1,000 packets a second each way."""
SETTLE_SECONDS = 1.0


def report(name: str, unit: str, values: list[float], aim: str | None = None) -> None:
    """Print one figure."""
    figure: dict[str, object] = {
        "bench": "turn_rotation",
        "name": name,
        "unit": unit,
        "median": statistics.median(values),
        "values": values,
    }
    if aim:
        figure["aim"] = aim
    print(json.dumps(figure), flush=True)


async def timed(agent: AgentProcess, keyset: KeySet) -> float:
    """Seconds from the change of the key file to its acknowledgement."""
    began = time.perf_counter()
    await agent.rotate(keyset)
    return time.perf_counter() - began


async def call(
    agent: AgentProcess, stack: AsyncExitStack, key: Key, subject: str, peer: EchoPeer
) -> TURNClient:
    """An allocation with a channel to the echoing peer."""
    client = await stack.enter_async_context(agent.client(key, subject))
    for answer in (await client.allocate(), await client.bind_channel(peer.address)):
        if answer.error is not None:
            raise RuntimeError(f"the call can't be set up: {answer.error}")
    return client


async def measure(calls: int, rotations: int) -> None:
    """Rotate ``rotations`` times under ``calls`` allocations."""
    lost: list[float] = []
    refused: list[float] = []
    acknowledged: list[float] = []
    current = new_key("k0")
    with tempfile.TemporaryDirectory() as directory, claimed_ports(16 + 2 * calls + 16) as ports:
        agent = AgentProcess(Path(directory), ports, key_set(current), relay_ports=calls + 8)
        async with agent, EchoPeer(("127.0.0.1", agent.peer_port)) as peer, AsyncExitStack() as stack:
            await agent.ready()
            clients = [await call(agent, stack, current, f"user {n}", peer) for n in range(calls)]
            pumps = [await stack.enter_async_context(Pump(client, INTERVAL_SECONDS)) for client in clients]
            await asyncio.sleep(SETTLE_SECONDS)
            for number in range(1, rotations + 1):
                before = sum(pump.missing(SETTLE_SECONDS) for pump in pumps)
                fresh = new_key(f"k{number}")
                acknowledged.append(await timed(agent, key_set(current, fresh, mint=current)))
                acknowledged.append(await timed(agent, key_set(current, fresh, mint=fresh)))
                acknowledged.append(await timed(agent, key_set(fresh)))
                current = fresh
                answers = [await client.refresh() for client in clients]
                await asyncio.sleep(2 * SETTLE_SECONDS)
                lost.append(sum(pump.missing(SETTLE_SECONDS) for pump in pumps) - before)
                refused.append(sum(answer.error is not None for answer in answers))
            sent = sum(pump.sent for pump in pumps)
    report("relayed packets with their echoes", "packets", [sent])
    report("packets lost in a rotation", "packets", lost, aim="0")
    report("Refresh refused after a rotation", "requests", refused, aim="0")
    report("key file to acknowledgement", "s", acknowledged)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer allocations and one rotation")
    quick = parser.parse_args().quick
    asyncio.run(measure(calls=20 if quick else 200, rotations=1 if quick else 3))
