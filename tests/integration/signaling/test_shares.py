"""One user on many sockets gets no more than a user is meant to have, and hurts nobody else."""

import asyncio
import json
import logging
import secrets
import time

import pytest
from callcluster_common.bus.memory import MemoryBus
from callcluster_common.environment import Environment
from callcluster_common.messages.types import Grants
from callcluster_signaling import settings
from callcluster_signaling.allowance import LEASE_BYTES, Allowance
from callcluster_signaling.server import SignalingServer
from callcluster_signaling.shares import FULL_SECONDS
from callcluster_signaling.tokens import Identity
from kit.eventually import eventually
from kit.sig_client import MODERATOR, SECRET, SigClient, token
from kit.signaling_server import SignalingProcess

SOCKETS = 30
SHARE_BYTES, SHARE_BYTES_PER_SECOND = 4 << 20, 4 * 65_536
SHARE_FRAMES, SHARE_FRAMES_PER_SECOND = 16 * 4 * 30, 4 * 30
PING = json.dumps({"t": "ping", "d": {"ts": 1}})


async def _room(server: SignalingProcess) -> tuple[SigClient, SigClient, list[SigClient]]:
    """Two honest members, and the sockets of one user."""
    name = f"room-{secrets.token_hex(4)}"
    a, b = [await SigClient.member(server.url, name) for _ in range(2)]
    one = token(sub=f"flooder-{secrets.token_hex(4)}")
    return a, b, [await SigClient.member(server.url, name, one) for _ in range(SOCKETS)]


async def _served(a: SigClient, b: SigClient, text: str) -> None:
    await a.request("msg", {"body": text}, to="room")
    await b.expect(lambda frame: frame["t"] == "msg" and frame["d"]["body"] == text)


def _answers(client: SigClient) -> list[str]:
    return [frame["t"] for frame in client.frames if frame["t"] in ("pong", "error")]


@pytest.mark.parametrize(
    ("frame", "each", "share", "share_per_second"),
    [
        pytest.param(
            PING + " " * 60_000, 16, SHARE_BYTES / 60_000, SHARE_BYTES_PER_SECOND / 60_000, id="large"
        ),
        pytest.param(PING, 100, SHARE_FRAMES, SHARE_FRAMES_PER_SECOND, id="small"),
    ],
)
async def test_the_sockets_of_one_user_share_what_they_may_send(
    server: SignalingProcess, frame: str, each: int, share: float, share_per_second: float
) -> None:
    a, b, flooders = await _room(server)
    start = time.monotonic()

    async def send(client: SigClient) -> None:
        for _ in range(each):
            await client.ws.send(frame)

    flooding = asyncio.gather(*(send(client) for client in flooders))
    await _served(a, b, "meanwhile")
    await flooding
    await eventually(lambda: all(len(_answers(client)) == each for client in flooders), within=30)
    spent = time.monotonic() - start
    taken = sum(_answers(client).count("pong") for client in flooders)
    # Beside the share, each socket may hold a lease that it drew while it joined.
    leased = SOCKETS * LEASE_BYTES / SHARE_BYTES * share
    assert share / 2 < taken <= share + share_per_second * spent + leased
    refused = [frame["d"] for client in flooders for frame in client.frames if frame["t"] == "error"]
    assert {error["code"] for error in refused} == {"rate_limited"}
    await _served(a, b, "and after it")


async def test_a_user_is_forgotten_however_its_sessions_ended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    environment = {
        "JWT_SECRET": SECRET,
        "PORT": "0",
        "CONTROL_PORT": "0",
        "CONTROL_HOST": "127.0.0.1",
        "REDIS_URL": "memory://",
    }
    server = SignalingServer(settings.read(Environment(environment)), MemoryBus())
    await server.start()
    (fields,) = (record.__dict__["fields"] for record in caplog.records if record.msg == "serving")
    url, bearer = f"ws://127.0.0.1:{fields['port']}", token(sub="anybody")
    try:
        moderator = await SigClient.member(url, "room", token(sub="moderator", g=MODERATOR))

        says_bye = await SigClient.hello(url, bearer)
        await says_bye.request("bye")
        leaves = await SigClient.member(url, "room", bearer)
        await leaves.request("leave")
        await leaves.join("room")
        await leaves.close()
        breaks = await SigClient.member(url, "room", bearer)
        breaks.abort()
        moves = await SigClient.member(url, "room", bearer)
        moved = await moves.resume_on(url)
        assert await moves.closes() == 4005
        await moved.close()
        is_kicked = await SigClient.member(url, "room", bearer)
        await moderator.request("mod.kick", {"sid": is_kicked.sid})
        await is_kicked.closes()

        await eventually(lambda: len(server.pod.open_links) == 1)
        later = server.pod.now() + FULL_SECONDS + 1
        passer_by = Allowance(server.pod.policy.rates, later)
        server.pod.shares.enter(passer_by, Identity("passer-by", "*", Grants(), exp=1), "", later)
        assert len(server.pod.shares) == 2  # the moderator's, and the passer-by's
    finally:
        await SigClient.close_all()
        await server.stop()
