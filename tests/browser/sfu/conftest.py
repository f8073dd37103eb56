"""A signaling server with a Redis and an SFU, in the place of the one that stands alone."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from browser.sdk.tabs import SECRET
from kit.redis_server import RedisServer
from kit.sfu_member import SFUMember
from kit.sfu_process import SFUProcess, sfu
from kit.signaling_server import SignalingProcess, signaling

Meeter = Callable[[], Awaitable[SFUMember]]


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


@pytest_asyncio.fixture(loop_scope="module")
async def meet(server: SignalingProcess, room: str) -> AsyncIterator[Meeter]:
    """Brings members into the room that are no tabs: they send sound, to an SFU alone."""
    async with AsyncExitStack() as members:
        yield lambda: members.enter_async_context(SFUMember(server.url, room, SECRET))
