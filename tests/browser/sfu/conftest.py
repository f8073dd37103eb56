"""A signaling server with a Redis and an SFU, in the place of the one that stands alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from kit.redis_server import RedisServer
from kit.sfu_process import SFUProcess, sfu
from kit.signaling_server import SignalingProcess, signaling


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer()
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def server(redis: RedisServer) -> Iterator[SignalingProcess]:
    with signaling(redis.url, GUEST_ACCESS="true") as process:
        yield process


@pytest.fixture(scope="module")
def forwarder(redis: RedisServer, server: SignalingProcess) -> Iterator[SFUProcess]:
    with sfu(redis.url) as process:
        yield process
