"""Floods below the level of messages: pings, pongs, bytes before hello; and what counts as waiting."""

import asyncio
import base64
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from callcluster_common.bus.memory import MemoryBus
from callcluster_common.environment import Environment
from callcluster_signaling import limits
from callcluster_signaling.server import SignalingServer, listening
from callcluster_signaling.settings import read
from kit.eventually import eventually
from kit.sig_client import SigClient
from kit.signaling_server import SECRET, SignalingProcess, signaling

TEXT, PING, PONG = 0x81, 0x89, 0x8A


@pytest.fixture(scope="module")
def server() -> Iterator[SignalingProcess]:
    with signaling() as made:
        yield made
        assert "socket.send() raised" not in made.text
        assert "Traceback" not in made.text


def _frame(first: int, payload: bytes = b"") -> bytes:
    """A masked frame; the mask of zeros leaves the payload as it is."""
    assert len(payload) < 126
    return bytes([first, 0x80 | len(payload)]) + bytes(4) + payload


def _open(port: int, version: str = "sig.v1") -> socket.socket:
    """A socket after its handshake, that reads and answers nothing by itself."""
    made = socket.create_connection(("127.0.0.1", port), timeout=60)
    key = base64.b64encode(os.urandom(16)).decode()
    made.sendall(
        f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {version}\r\n\r\n".encode()
    )
    got = b""
    while b"\r\n\r\n" not in got and (part := made.recv(1)):
        got += part
    if not got.startswith(b"HTTP/1.1 101 "):
        made.close()
        raise AssertionError(got.decode())
    return made


def _flood(made: socket.socket, data: bytes, most: int) -> int:
    """Send until the other side has enough; how many bytes went out."""
    sent = 0
    try:
        while sent < most:
            sent += made.send(data)
    except (ConnectionError, TimeoutError):
        pass
    return sent


def _cut(server: SignalingProcess, reason: str) -> float:
    """How many connections were cut off for that reason."""
    try:
        return server.metric(f'sig_cut_total{{reason="{reason}"}}')
    except AssertionError:
        return 0.0


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_a_flood_of_control_frames_is_cut_off_before_it_is_answered(
    server: SignalingProcess, opcode: int
) -> None:
    before = _cut(server, "control_flood")
    with closing(_open(server.port)) as flooder:
        assert _flood(flooder, _frame(opcode) * 2_000, 20_000_000) < 20_000_000
    await eventually(lambda: _cut(server, "control_flood") == before + 1)
    member = await SigClient.hello(server.url)
    await member.request("ping", {"ts": 1})


async def test_floods_from_many_sockets_leave_the_others_served(server: SignalingProcess) -> None:
    member = await SigClient.hello(server.url)
    with ExitStack() as stack:
        flooders = [stack.enter_context(closing(_open(server.port))) for _ in range(8)]
        results: list[int] = []
        threads = [
            threading.Thread(
                target=lambda one=one: results.append(_flood(one, _frame(PING) * 6_000, 4_000_000))
            )
            for one in flooders
        ]
        for thread in threads:
            thread.start()
        for _ in range(5):
            await member.request("ping", {"ts": 1})
        for thread in threads:
            thread.join()
    assert len(results) == 8
    assert max(results) < 4_000_000


async def test_members_that_flood_pings_are_cut_off_as_well(server: SignalingProcess) -> None:
    before = _cut(server, "control_flood")
    member = await SigClient.hello(server.url)
    member.ws.transport.write(_frame(PING, b"x" * 125) * 200)
    assert await member.closes() == 1006
    assert _cut(server, "control_flood") == before + 1


async def test_pings_at_a_usual_pace_are_answered(server: SignalingProcess) -> None:
    member = await SigClient.hello(server.url)
    for _ in range(20):
        await (await member.ws.ping())
    await member.request("ping", {"ts": 1})


async def test_more_bytes_than_a_hello_takes_are_not_taken_before_it(server: SignalingProcess) -> None:
    with closing(_open(server.port)) as flooder:
        # One frame that never ends.
        flooder.sendall(bytes([TEXT, 0xFF]) + (131_000).to_bytes(8, "big") + bytes(4))
        assert _flood(flooder, b" " * 8_192, 4_000_000) < 4_000_000
    await eventually(lambda: _cut(server, "bytes_before_hello"))


async def test_thousands_of_tiny_frames_in_one_go_are_a_flood(server: SignalingProcess) -> None:
    member = await SigClient.hello(server.url)
    member.ws.transport.write(_frame(TEXT, b"{}") * 8_000)
    assert await member.closes() == 4006


async def test_sockets_of_an_unknown_version_count_as_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_WAITING", 3)
    with closing(listening(0, "127.0.0.1")) as free:
        port = free.getsockname()[1]
    environment = {
        "PORT": str(port),
        "LISTEN_HOST": "127.0.0.1",
        "CONTROL_PORT": "0",
        "CONTROL_HOST": "127.0.0.1",
        "REDIS_URL": "memory://",
        "JWT_SECRET": SECRET,
    }
    server = SignalingServer(read(Environment(environment)), MemoryBus())
    await server.start()
    try:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(closing(await asyncio.to_thread(_open, port, "sig.v9")))
            with pytest.raises(AssertionError, match=r"HTTP/1\.1 429"):
                await asyncio.to_thread(_open, port, "sig.v9")
    finally:
        await server.stop()


@pytest.mark.parametrize(
    "target", ["/ws?to%6ben=1", "/ws?to%256ben=1", "/ws?to%25256ben=1", "/?a%3Dtoken=1"]
)
def test_credentials_in_the_url_are_found_however_often_they_are_encoded(
    server: SignalingProcess, target: str
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as made:
        made.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert made.recv(4096).startswith(b"HTTP/1.1 400 ")
