"""`callcluster up` with a room that has an SFU of its own: its call goes through that one alone."""

from __future__ import annotations

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

pytestmark = [pytest.mark.timeout(300), pytest.mark.redis, NEEDS_PLANE]


@pytest.fixture
def file(directory: Path) -> Path:
    """The example with a shared SFU on ports of this test's own, and a room that wants none of it."""
    first, last = free_block(100)
    content = yaml.safe_load(EXAMPLE.read_text())
    relays = (20_000, 20_999) if first > 20_999 else (28_000, 28_999)
    content["spec"]["turn"].update(replicas=0, relayPortRange={"min": relays[0], "max": relays[1]})
    content["spec"]["sfu"] = {
        "replicas": 1,
        "portRange": {"min": first, "max": last},
        "drain": {"timeoutSeconds": 0},
    }
    room = {
        "apiVersion": content["apiVersion"],
        "kind": "Room",
        "metadata": {"name": "stand-up"},
        "spec": {"clusterRef": {"name": content["metadata"]["name"]}, "isolation": "Dedicated"},
    }
    made = directory / "local.yaml"
    made.write_text(yaml.safe_dump_all([content, room]))
    return made


async def status(running: Up, *what: str) -> dict[str, Any]:
    code, output = await running.call("get", *what, "-o", "yaml")
    assert code == 0, output
    found: dict[str, Any] = yaml.safe_load(output).get("status", {})
    return found


async def test_the_call_of_a_dedicated_room_goes_through_its_own_sfu(
    file: Path, directory: Path, port: int
) -> None:
    async with up(str(file), port=port, runtime_directory=directory) as running, AsyncExitStack() as stack:
        await running.says("#r=", within=60)

        async def has_its_own() -> str:
            own = (await status(running, "room", "stand-up")).get("sfu", {})
            return str(own["pod"]) if own.get("state") == "Ready" else ""

        pod = await eventually(has_its_own, within=90, every=0.5)
        url = f"ws://127.0.0.1:{port}"
        members = [await stack.enter_async_context(SFUMember(url, "stand-up", SECRET)) for _ in range(3)]
        before = {member.sid: member.mark() for member in members}

        def all_hear() -> bool:
            pairs = ((one, other) for one in members for other in members if one is not other)
            return all(one.opened[other.sid] > before[one.sid][other.sid] + 2 for one, other in pairs)

        await eventually(all_hear, within=90)

        async def is_told() -> bool:
            servers = (await status(running, "cc", "local"))["sfu"]["servers"]
            served = {server["name"]: server.get("participants") for server in servers}
            return served.pop(pod) == 3 and list(served.values()) == [0]

        await eventually(is_told, within=60, every=0.5)
