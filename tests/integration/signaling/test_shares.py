"""One user on many sockets gets no more than a user is meant to have, and hurts nobody else."""

import asyncio
import json
import secrets
import time

import pytest
from kit.eventually import eventually
from kit.sig_client import SigClient, token
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
    assert share / 2 < taken <= share + share_per_second * spent
    refused = [frame["d"] for client in flooders for frame in client.frames if frame["t"] == "error"]
    assert {error["code"] for error in refused} == {"rate_limited"}
    await _served(a, b, "and after it")
