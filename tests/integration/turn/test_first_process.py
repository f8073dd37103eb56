"""The agent as the first process of a container."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest
from callcluster_common.keyset import Key
from kit.eventually import eventually
from kit.turn_agent import AgentProcess, key_set

NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")


def unavailable() -> str | None:
    if os.geteuid() != 0:
        return "a process namespace needs root"
    made = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
    return None if made.returncode == 0 else "no process namespace can be made here"


REASON = unavailable()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")


def children(pid: int) -> dict[int, str]:
    """Child processes by id, with their state."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    states = {}
    for child in map(int, listed):
        try:
            states[child] = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # ended in the meantime
    return states


async def test_it_collects_orphans_and_ends_on_sigterm(tmp_path: Path, ports: range, k1: Key) -> None:
    async with AgentProcess(tmp_path, ports, key_set(k1), wrapper=NAMESPACE) as agent:
        await agent.ready()
        (first,) = children(agent.process.pid)
        (coturn,) = children(first)
        # A probe's shell leaves a child behind, which then belongs to the first process.
        shell = await asyncio.create_subprocess_exec(
            *("nsenter", "--target", str(first), "--pid", "--mount", "sh", "-c", "sleep 0.5 & exit")
        )
        await shell.wait()
        await eventually(lambda: len(children(first)) == 2)

        await eventually(lambda: list(children(first)) == [coturn])

        os.kill(coturn, signal.SIGKILL)
        await eventually(lambda: agent.metric_is("callcluster_turn_coturn_restarts_total", 1))
        await agent.ready()
        os.kill(first, signal.SIGTERM)
        assert await agent.ended() == 0
