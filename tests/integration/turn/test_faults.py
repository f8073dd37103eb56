"""What goes wrong, and what the agent makes of it."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
from pathlib import Path

import pytest
from callcluster_common.keyset import Key
from callcluster_common.stun import Attribute
from kit.eventually import eventually
from kit.turn_agent import MakeAgent
from kit.turn_client import TURNClient


async def test_a_killed_coturn_comes_back_with_its_keys(make_agent: MakeAgent, k1: Key) -> None:
    async with make_agent() as agent:
        await agent.ready()
        before = agent.coturn_pid
        agent.kill_coturn()
        await eventually(lambda: agent.coturn_pid not in (0, before))
        await agent.ready()

        assert await agent.metric("callcluster_turn_coturn_restarts_total") == 1
        async with agent.client(k1) as client:
            assert (await client.allocate()).error is None


async def test_a_coturn_that_hangs_is_not_ready_until_it_answers_again(make_agent: MakeAgent) -> None:
    async with make_agent() as agent:
        await agent.ready()
        coturn = agent.coturn_pid
        os.kill(coturn, signal.SIGSTOP)
        try:
            await eventually(lambda: agent.says("no answer over UDP"))
        finally:
            os.kill(coturn, signal.SIGCONT)
        await agent.ready()
        assert agent.coturn_pid == coturn


async def test_a_user_name_that_forges_lines_of_output_ends_nothing(make_agent: MakeAgent) -> None:
    forged = "9:x\n1: : session 1: usage: a, rp={}, rb=1, sp=1, sb=1\n9:y".format("9" * 320)
    async with make_agent() as agent:
        await agent.ready()
        coturn = agent.coturn_pid
        async with TURNClient(agent.server, (forged, "x"), (agent.host, 0)) as client:
            assert (await client.allocate()).error == 400
        # coturn's line about the refusal comes after the forged one.
        await eventually(lambda: agent.metric("callcluster_turn_refused_requests_total", code="400"))
        assert agent.coturn_pid == coturn
        assert "Traceback" not in agent.log


async def test_an_agent_that_is_killed_leaves_no_coturn_behind(make_agent: MakeAgent) -> None:
    async with make_agent() as agent:
        await agent.ready()
        coturn = agent.coturn_pid
        agent.process.kill()
        await agent.process.wait()
        await eventually(lambda: not Path(f"/proc/{coturn}").exists())


async def test_it_waits_for_the_external_address_and_gives_it_out(
    make_agent: MakeAgent, tmp_path: Path, k1: Key
) -> None:
    external = tmp_path / "external"
    external.write_text("\n")
    async with make_agent(EXTERNAL_ADDRESS_FILE=str(external)) as agent:
        await eventually(lambda: agent.says("waiting for the external address"))
        external.write_text("node-1\n")
        await eventually(lambda: "must hold an IP address or 'none'" in agent.log)
        external.write_text("203.0.113.9\n")
        await agent.ready()
        async with agent.client(k1) as client:
            answer = await client.allocate()
            address = answer.address(Attribute.XOR_RELAYED_ADDRESS)
        assert address is not None
        assert address[0] == ipaddress.ip_address("203.0.113.9")
        assert agent.min_port <= address[1] <= agent.max_port


async def test_no_external_address_is_an_answer_too(make_agent: MakeAgent, tmp_path: Path, k1: Key) -> None:
    (tmp_path / "external").write_text("none")
    async with make_agent(EXTERNAL_ADDRESS_FILE=str(tmp_path / "external")) as agent:
        await agent.ready()
        async with agent.client(k1) as client:
            address = (await client.allocate()).address(Attribute.XOR_RELAYED_ADDRESS)
        assert address is not None
        assert address[0] == ipaddress.ip_address("127.0.0.1")


@pytest.mark.parametrize(
    ("variables", "status", "message"),
    [
        ({"REALM": ""}, 2, "REALM is required"),
        ({"TURNSERVER": "/no/such/turnserver"}, 3, "install coturn, or set TURNSERVER to its path"),
        ({"STATE_DIR": "/proc/none"}, 2, "STATE_DIR can't be made"),
    ],
)
async def test_what_the_user_must_mend_is_one_line(
    make_agent: MakeAgent, variables: dict[str, str], status: int, message: str
) -> None:
    async with make_agent(**variables) as agent:
        assert await agent.ended() == status
    assert len(agent.errors) == 1
    assert agent.errors[0].startswith("callcluster_turn: ")
    assert message in agent.errors[0]


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def test_a_version_that_was_not_verified_is_refused(make_agent: MakeAgent, tmp_path: Path) -> None:
    async with make_agent(TURNSERVER=program(tmp_path / "coturn", "echo 4.10.0")) as agent:
        assert await agent.ended() == 3
    assert "coturn 4.10.0 is not supported" in agent.errors[0]


async def test_a_configuration_that_coturn_would_skip_over_ends_it(
    make_agent: MakeAgent, tmp_path: Path
) -> None:
    """coturn itself would go on, and start open."""
    real = shutil.which(os.environ.get("TURNSERVER", "turnserver"))
    wrapper = program(
        tmp_path / "coturn",
        f'[ "$1" = --version ] && exec {real} --version\n'
        f'/bin/echo "denied-peer-ip=10.0.0.0/8" >>"$2"\nexec {real} "$@"',
    )
    async with make_agent(TURNSERVER=wrapper) as agent:
        assert await agent.ended() == 4
    assert "coturn does not accept its configuration" in agent.errors[0]
    assert "10.0.0.0/8" in agent.errors[0]


async def test_a_peer_policy_that_is_not_enforced_ends_it(make_agent: MakeAgent, tmp_path: Path) -> None:
    real = shutil.which(os.environ.get("TURNSERVER", "turnserver"))
    wrapper = program(
        tmp_path / "coturn",
        f'[ "$1" = --version ] && exec {real} --version\n'
        f'/bin/sed -i "/denied-peer-ip=198.18/d" "$2"\nexec {real} "$@"',
    )
    async with make_agent(TURNSERVER=wrapper) as agent:
        assert await agent.ended() == 4
    assert agent.errors == ["callcluster_turn: the peer policy is not enforced: 198.18.0.0 is permitted"]


async def test_a_coturn_that_dies_at_once_is_tried_again_and_its_words_are_shown(
    make_agent: MakeAgent, tmp_path: Path
) -> None:
    wrapper = program(
        tmp_path / "coturn",
        '[ "$1" = --version ] && echo 4.6.1 && exit\necho "libevent.so is missing"\nexit 127',
    )
    async with make_agent(TURNSERVER=wrapper) as agent:
        await eventually(lambda: "libevent.so is missing" in agent.log)
        await eventually(lambda: agent.log.count("coturn ended; starting it again") >= 2)
        assert "coturn" in await agent.readiness()
        agent.terminate()
        assert await agent.ended() == 0
