"""The process by itself: ports, health, its control port, its end."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from kit.eventually import eventually
from kit.redis_server import RedisServer
from kit.sfu_process import NEEDS_PLANE, SFUProcess, sfu

pytestmark = [pytest.mark.redis, NEEDS_PLANE]


@pytest.fixture(scope="module")
def server(redis_server: RedisServer) -> Iterator[SFUProcess]:
    with sfu(redis_server.url) as made:
        yield made
        assert "Traceback" not in made.text


WITHOUT_PLANE = """
import sys
sys.modules["callcluster_plane"] = None
from callcluster_sfu.__main__ import main
sys.exit(main())
"""


def refusal(*command: str, **settings: str) -> tuple[int, str]:
    """Exit status and last words of a process that can't start."""
    done = subprocess.run(
        [sys.executable, *(command or ("-m", "callcluster_sfu"))],
        env={"CONTROL_HOST": "127.0.0.1", "CONTROL_PORT": "0", **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


async def test_it_is_well_once_its_port_has_answered(server: SFUProcess) -> None:
    await eventually(lambda: server.get("/healthz") == (200, "ok\n"))
    await eventually(lambda: server.get("/readyz") == (200, "ok\n"))
    assert server.report() == {
        "version": "0.1.0",
        "draining": False,
        "rooms": 0,
        "participants": 0,
        "serving": True,
    }
    await eventually(lambda: "sfu_media_in_total 0.0" in server.get("/metrics")[1])


async def test_a_stranger_learns_only_that_it_lives(server: SFUProcess) -> None:
    for path in ("/readyz", "/metrics", "/report"):
        assert server.get(path, bearer=None)[0] == 401, path
    assert server.get("/drain", bearer="a-guess", method="POST")[0] == 401
    await eventually(lambda: server.get("/healthz", bearer=None)[0] == 200)
    assert not server.report()["draining"]


async def test_asked_to_drain_it_says_so_and_stays_until_it_is_terminated(
    redis_server: RedisServer,
) -> None:
    with sfu(redis_server.url) as one:
        assert one.get("/drain", method="POST")[0] == 202
        assert one.report()["draining"]
        assert one.get("/readyz") == (503, "draining\n")
        assert one.running()
        one.terminate()
        assert one.ended() == 0


async def test_it_lives_without_redis_and_is_ready_when_there_is_one() -> None:
    redis = RedisServer()
    try:
        with sfu(redis.url) as one:
            await eventually(lambda: one.get("/healthz")[0] == 200)
            assert one.get("/readyz") == (503, "no connection to Redis\n")
            redis.start()
            await eventually(lambda: one.get("/readyz")[0] == 200)
    finally:
        redis.close()


def test_a_port_that_is_taken_is_named_in_one_line(server: SFUProcess, redis_server: RedisServer) -> None:
    least = {"REDIS_URL": redis_server.url, "SFU_HOST": "127.0.0.1", "SFU_ADDRESSES": "127.0.0.1"}
    status, words = refusal(**least, SFU_PORT=str(server.port))
    assert status == 2
    assert words.count("\n") == 1
    assert f"SFU_PORT {server.port} can't be used" in words
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, words = refusal(**least, SFU_PORT="0", CONTROL_PORT=port)
    assert status == 2
    assert f"CONTROL_PORT {port} can't be used" in words


def test_a_wrong_setting_ends_it_with_one_line() -> None:
    assert refusal(REDIS_URL="redis://localhost") == (
        2,
        "callcluster-sfu: SFU_ADDRESSES is required: the IP addresses at which clients reach the SFU\n",
    )


def test_without_the_packet_plane_it_says_how_to_get_it() -> None:
    assert refusal("-c", WITHOUT_PLANE, REDIS_URL="redis://localhost", SFU_ADDRESSES="192.0.2.1") == (
        3,
        "callcluster-sfu: the packet plane is not installed; build it by: requirements/plane\n",
    )
