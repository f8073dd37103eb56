"""Run in a network namespace: asks a real server for a permission for each probe address of its IP version.

Usage: ``peer_matrix.py LISTENING_IP [NAME=VALUE ...]``; the last line of output is the answers as JSON.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kit.turn_agent import AgentProcess, claimed_ports, key_set, new_key
from kit.turn_peers import PUBLIC, SPECIAL


async def ask(host: str, variables: dict[str, str]) -> dict[str, int | None]:
    key = new_key("k1")
    version = ipaddress.ip_address(host).version
    with tempfile.TemporaryDirectory() as directory, claimed_ports() as ports:
        settings = {"ALLOWED_PEER_CIDRS": "", **variables}
        async with AgentProcess(Path(directory), ports, key_set(key), settings, host=host) as agent:
            await agent.ready()
            async with agent.client(key) as client:
                assert (await client.allocate()).error is None
                return {
                    address: (await client.permit(address)).error
                    for address in (*PUBLIC, *SPECIAL)
                    if ipaddress.ip_address(address).version == version
                }


if __name__ == "__main__":
    answers = asyncio.run(ask(sys.argv[1], dict(item.split("=", 1) for item in sys.argv[2:])))
    print(json.dumps(answers))
