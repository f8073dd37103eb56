"""`callcluster up` with everything: real Redis, real coturn, real calls."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import signal
import socket
from pathlib import Path

import pytest
from kit.eventually import eventually
from kit.local_up import ALONE, Up, callcluster, up

HAS_PLANE = importlib.util.find_spec("callcluster_plane") is not None
EXAMPLE = Path(__file__).parents[3] / "examples" / "local.yaml"


async def pids(running: Up, program: str) -> list[int]:
    return [pid for pid, line in running.processes().items() if program in line]


@pytest.mark.redis
@pytest.mark.coturn
@pytest.mark.timeout(240)
async def test_the_check_places_a_direct_a_relayed_and_a_group_call(
    directory: Path, port: int, turn_port: int
) -> None:
    async with up(
        "--turn-port", str(turn_port), "--check", port=port, runtime_directory=directory
    ) as checking:
        said = await checking.says("check passed: calls work, direct and relayed", within=200)
        groups = ", in groups too" if HAS_PLANE else "; there is no SFU: it is not built"
        assert said.startswith(f"check passed: calls work, direct and relayed{groups}")
        assert await checking.process.wait() == 0
    assert not checking.processes()
    assert not list(directory.iterdir())


@pytest.mark.timeout(240)
async def test_the_check_of_a_relay_fails_without_one_and_says_why(directory: Path, port: int) -> None:
    code, output = await callcluster(
        "up", *ALONE, "--port", str(port), "--check", "--relay", runtime_directory=directory
    )
    assert code == 1
    assert output.splitlines()[-1] == (
        "check failed: no relay: coturn was left out (--without turn); calls work without relay"
    )


@pytest.mark.timeout(240)
async def test_without_coturn_the_check_passes_with_a_direct_call_and_says_so(
    directory: Path, port: int
) -> None:
    code, output = await callcluster(
        "up", *ALONE, "--port", str(port), "--check", runtime_directory=directory
    )
    assert code == 0, output
    assert output.splitlines()[-1].startswith(
        "check passed: a direct call works; there is no relay: coturn"
    )


@pytest.mark.timeout(240)
async def test_where_guests_are_denied_the_check_brings_tokens(directory: Path, port: int) -> None:
    file = directory / "local.yaml"
    file.write_text(EXAMPLE.read_text().replace("guests: Allowed", "guests: Denied"))
    code, output = await callcluster(
        "up", str(file), *ALONE, "--port", str(port), "--check", runtime_directory=directory
    )
    assert code == 0, output
    assert "check passed" in output


@pytest.mark.redis
@pytest.mark.coturn
@pytest.mark.timeout(240)
async def test_everything_that_is_killed_comes_back_and_everything_ends_with_it(
    directory: Path, port: int, turn_port: int
) -> None:
    async with up("--turn-port", str(turn_port), port=port, runtime_directory=directory) as running:
        await running.says("#r=", within=60)
        await running.says("  turn       ready", within=60)
        for program, said in (("redis-server", "  redis"), ("callcluster_turn", "  turn")):
            lines, killed = len(running.lines), await pids(running, program)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            # Where another instance takes the ports meanwhile, it is no restart but a new pod.
            await running.says(f"{said:<12} ready", within=60, after=lines)
            assert not set(killed) & set(await pids(running, program))
        await running.end(signal.SIGKILL)
        await eventually(lambda: not running.processes())
        await eventually(lambda: not list(directory.glob("*/*")))


@pytest.mark.redis
@pytest.mark.timeout(240)
async def test_a_redis_that_is_there_already_is_never_used(directory: Path, port: int) -> None:
    with socket.socket() as taken:
        # Whoever has it on 127.0.0.1, and how long, is no matter then.
        address = f"127.{secrets.randbelow(250) + 1}.{secrets.randbelow(250)}.{secrets.randbelow(250) + 2}"
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((address, 6379))
        taken.listen()
        async with up("--without", "turn", port=port, runtime_directory=directory) as running:
            assert "port 6379 is in use by another program; ours takes" in await running.says("  redis")
            taken.close()
            await running.says("#r=")
            (pid,) = await pids(running, "redis-server")
            assert f"127.0.0.1:{running.lines[1].split()[-1]}" in running.processes()[pid]
            environment = Path(f"/proc/{(await pids(running, 'callcluster_signaling'))[0]}/environ")
            assert f"127.0.0.1:{running.lines[1].split()[-1]}/".encode() in environment.read_bytes()
            assert await running.end() == 0


@pytest.mark.coturn
@pytest.mark.timeout(240)
async def test_a_turn_server_whose_port_is_busy_takes_the_ports_of_the_next_slot(
    directory: Path, port: int, turn_port: int
) -> None:
    arguments = ("--without", "redis", "--turn-port", str(turn_port))
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", turn_port))
        async with up(*arguments, port=port, runtime_directory=directory) as running:
            # Another instance may hold others of the slot's ports; then they are named, too.
            busy = await running.says(f" {turn_port} (UDP)")
            assert busy.endswith(" in use by another program; takes other ports")
            said = await running.says("  turn       ready", within=60)
            await running.says("#r=")
            listener = re.search(r"127\.0\.0\.1:(\d+) ", said)
            assert listener is not None
            assert int(listener[1]) > turn_port
            uri = f"turn:127.0.0.1:{listener[1]}?transport=udp"

            async def members_are_told() -> bool:
                return uri in (await running.call("get", "cc", "local", "-o", "yaml"))[1]

            await eventually(members_are_told, within=30, every=0.5)
            assert await running.end() == 0
