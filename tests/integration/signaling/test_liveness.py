"""A process that can't do its work is not alive."""

import logging
import secrets

import aiohttp
import pytest
from callcluster_common.bus.memory import MemoryBus
from callcluster_common.environment import Environment
from callcluster_signaling import settings
from callcluster_signaling.server import SignalingServer
from kit.eventually import eventually


async def test_a_server_whose_clock_stopped_is_not_alive(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    chosen = settings.read(
        Environment(
            {
                "JWT_SECRET": secrets.token_hex(32),
                "PORT": "0",
                "CONTROL_PORT": "0",
                "CONTROL_HOST": "127.0.0.1",
                "REDIS_URL": "memory://",
            }
        )
    )
    server = SignalingServer(chosen, MemoryBus())
    await server.start()
    (fields,) = (record.__dict__["fields"] for record in caplog.records if record.msg == "serving")

    async def health() -> int:
        url = f"http://127.0.0.1:{fields['control']}/healthz"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return answer.status

    try:
        assert await health() == 200

        def fail(now: float) -> None:
            raise RuntimeError("a defect")

        monkeypatch.setattr(server.pod.rooms, "tick", fail)

        async def dead() -> bool:
            return await health() == 503

        await eventually(dead)
    finally:
        await server.stop()
