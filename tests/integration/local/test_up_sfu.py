"""`callcluster up` with an SFU: group calls go through it, and without it they go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from kit.eventually import eventually
from kit.local_up import Up, up
from kit.ports import free_block
from kit.sfu_member import SFUMember
from kit.sfu_process import NEEDS_PLANE

EXAMPLE = Path(__file__).parents[3] / "examples" / "local.yaml"
SECRET = bytes(range(32))

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def file(directory: Path) -> Path:
    """The example with an SFU on ports of this test's own, and without TURN servers."""
    first, last = free_block(100)
    content = yaml.safe_load(EXAMPLE.read_text())
    content["spec"]["turn"]["replicas"] = 0
    # The range of the relays may lie anywhere else.
    relays = (20_000, 20_999) if first > 20_999 else (28_000, 28_999)
    content["spec"]["turn"]["relayPortRange"] = {"min": relays[0], "max": relays[1]}
    content["spec"]["sfu"] = {
        "replicas": 1,
        "portRange": {"min": first, "max": last},
        "drain": {"timeoutSeconds": 0},
    }
    made = directory / "local.yaml"
    made.write_text(yaml.safe_dump(content))
    return made


async def status(running: Up) -> dict[str, Any]:
    code, output = await running.call("get", "cc", "local", "-o", "yaml")
    assert code == 0, output
    found: dict[str, Any] = yaml.safe_load(output)["status"]
    return found


async def hear_each_other(members: Sequence[SFUMember]) -> None:
    """Each opens frames of each other one from now on."""
    before = {member.sid: member.mark() for member in members}

    def all_do() -> bool:
        return all(
            member.opened[other.sid] > before[member.sid][other.sid] + 2
            for member in members
            for other in members
            if member is not other
        )

    await eventually(all_do, within=60)


@NEEDS_PLANE
@pytest.mark.redis
async def test_three_members_hear_each_other_through_the_sfu_of_the_file(
    file: Path, directory: Path, port: int
) -> None:
    async with up(str(file), port=port, runtime_directory=directory) as running, AsyncExitStack() as stack:
        await running.says("  sfu        ready", within=60)
        await running.says("#r=", within=40)
        url = f"ws://127.0.0.1:{port}"
        members = [await stack.enter_async_context(SFUMember(url, "stand-up", SECRET)) for _ in range(3)]
        await hear_each_other(members)

        async def is_told() -> bool:
            sfu = (await status(running))["sfu"]
            return (sfu["rooms"], sfu["participants"], sfu["readyReplicas"]) == (1, 3, 1)

        await eventually(is_told, within=60, every=0.5)
        (killed,) = (pid for pid, line in running.processes().items() if "callcluster_sfu" in line)
        lines = len(running.lines)
        os.kill(killed, signal.SIGKILL)
        await running.says("  sfu        ready", within=60, after=lines)
        await hear_each_other(members)


@pytest.mark.redis
async def test_without_the_sfu_one_line_says_so_and_calls_go_on(
    file: Path, directory: Path, port: int
) -> None:
    async with up(str(file), "--without", "sfu", port=port, runtime_directory=directory) as running:
        await running.says("#r=", within=40)
        said = await running.says("  sfu  ")
        assert said == ("  sfu        the SFU was left out (--without sfu); group calls run as a mesh")
        conditions = {each["type"]: each["status"] for each in (await status(running))["conditions"]}
        assert (conditions["Ready"], conditions["SFUCapacityAvailable"]) == ("True", "False")


async def test_without_redis_there_is_no_sfu_and_one_line_says_so(
    file: Path, directory: Path, port: int
) -> None:
    async with up(str(file), "--without", "redis", port=port, runtime_directory=directory) as running:
        await running.says("#r=", within=40)
        assert (await running.says("  sfu  ")).endswith("; group calls run as a mesh")
