"""A process whose pod is told only later where clients reach it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.eventually import eventually
from kit.ports import free_port
from kit.redis_server import RedisServer
from kit.sfu_process import NEEDS_PLANE, SFUProcess

pytestmark = [pytest.mark.redis, NEEDS_PLANE]


@pytest.fixture
def waiting(redis_server: RedisServer, tmp_path: Path) -> Iterator[tuple[SFUProcess, Path]]:
    """A process that has no address yet, and the file that is to tell it."""
    file = tmp_path / "external-address"
    file.write_text("")
    control = free_port()
    process = SFUProcess(
        {
            "PATH": os.environ["PATH"],
            "REDIS_URL": redis_server.url,
            "SFU_HOST": "127.0.0.1",
            "SFU_PORT": "0",
            "SFU_ADDRESSES_FILE": str(file),
            "CONTROL_HOST": "127.0.0.1",
            "CONTROL_PORT": str(control),
            "SOCKET_BUFFER_BYTES": "65536",
        }
    )
    process.control = control
    try:
        yield process, file
    finally:
        process.close()


async def waits(process: SFUProcess) -> None:
    await eventually(lambda: "waiting for the address" in process.text)
    assert process.port == 0


async def test_it_serves_as_soon_as_the_file_tells_the_address(waiting: tuple[SFUProcess, Path]) -> None:
    process, file = waiting
    await waits(process)
    file.write_text("127.0.0.1")
    process.await_serving()
    await eventually(lambda: process.get("/healthz", bearer=None)[0] == 200)


async def test_it_is_well_while_it_waits(waiting: tuple[SFUProcess, Path]) -> None:
    process, _ = waiting
    await waits(process)
    await eventually(lambda: process.get("/healthz", bearer=None) == (200, "ok\n"))


async def test_it_ends_at_once_while_it_waits(waiting: tuple[SFUProcess, Path]) -> None:
    process, _ = waiting
    await waits(process)
    process.terminate()
    assert process.ended() == 0


async def test_a_file_without_addresses_ends_it_with_one_line(waiting: tuple[SFUProcess, Path]) -> None:
    process, file = waiting
    await waits(process)
    file.write_text("sfu.example")
    assert process.ended() == 2
    await eventually(lambda: "SFU_ADDRESSES_FILE takes IP addresses" in process.text)
    assert "Traceback" not in process.text
