"""The probe's call of many, through a real SFU."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest
from kit.redis_server import RedisServer, redis_server
from kit.sfu_process import NEEDS_PLANE, sfu
from kit.signaling_server import SignalingProcess, signaling

__all__ = ["redis_server"]

pytestmark = [pytest.mark.redis, pytest.mark.timeout(240)]


async def run_probe(url: str, *arguments: str) -> tuple[int | None, str, str]:
    """The command line: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "callcluster_probe", "--url", url, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
def server(redis_server: RedisServer) -> Any:
    with signaling(redis_server.url, GUEST_ACCESS="true") as made:
        yield made


@NEEDS_PLANE
async def test_eight_members_see_and_hear_one_another_through_the_sfu_and_a_stranger_does_not(
    redis_server: RedisServer, server: SignalingProcess
) -> None:
    with sfu(redis_server.url) as forwarding:
        arguments = ("--members", "8", "--duration", "2", "--timeout", "200", "--json")
        code, out, err = await run_probe(server.url, *arguments)
        assert "Traceback" not in forwarding.text
    assert (code, err) == (0, ""), out
    report = json.loads(out)
    assert report["route"] == "direct"
    assert len(report["members"]) == 8
    for place, member in enumerate(report["members"]):
        others = member["first_frames_ms"][:place] + member["first_frames_ms"][place + 1 :]
        assert member["first_frames_ms"][place] is None
        assert len(others) == 7
        assert all(others)
        # Each of seven others sends sounds and pictures.
        assert member["opened"] > 7 * 2 * 2
        assert member["wrong"] == 0
        assert member["packets_received"] > 7 * 2 * 2
        assert 0 <= member["loss_percent"] < 100
        assert (member["local_candidate"], member["remote_candidate"]) == ("host", "host")
    stranger = report["stranger"]
    assert stranger["received"] >= 20
    assert stranger["opened"] == stranger["trusted_by"] == stranger["given_away"] == 0


@NEEDS_PLANE
async def test_a_call_of_three_is_told_in_words(
    redis_server: RedisServer, server: SignalingProcess
) -> None:
    with sfu(redis_server.url):
        code, out, err = await run_probe(
            server.url, "--members", "3", "--duration", "0.5", "--timeout", "200"
        )
    assert (code, err) == (0, "")
    first, *members, last = out.splitlines()
    assert first.startswith("The call of 3 works through the SFU: direct, ")
    assert [line.split(":")[0] for line in members] == [f"  member  {number}" for number in (1, 2, 3)]
    assert last.startswith("  wrong secret : 0 of ")


async def test_without_an_sfu_the_call_of_many_fails_with_one_line(server: SignalingProcess) -> None:
    code, out, err = await run_probe(server.url, "--members", "3", "--timeout", "40")
    assert (code, out) == (1, "")
    assert err == ("The call failed: no SFU serves the room: none came within 20 s of the third member\n")
