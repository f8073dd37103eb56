"""Clients that break the rules hurt nobody but themselves."""

import asyncio
import json
import secrets
import socket
import time

import pytest
from kit.eventually import eventually
from kit.sig_client import RequestFailedError, SigClient
from kit.signaling_server import SignalingProcess
from websockets.exceptions import ConnectionClosed

CORPUS: list[str | bytes] = [
    "",
    " ",
    "null",
    "0",
    '"hello"',
    "[]",
    "{}",
    "{",
    '{"t":"msg","to":"room","d":{"body":"' + "x" * 8200 + '"}}',
    '{"t":"msg","to":"room","d":{"body":"' + "x" * 66_000 + '"}}',
    "[" * 60_000,
    '{"a":' * 10_000 + "1" + "}" * 10_000,
    '{"t":"join","d":{"room":"' + "r" * 129 + '"}}',
    '{"t":"join","d":{"room":"../../etc"}}',
    '{"t":"\\ud800","d":{}}',
    '{"t":"ping","d":{"ts":1e999}}',
    '{"t":"ping","id":"' + "i" * 65 + '","d":{"ts":1}}',
    '{"t":"key.send","d":{"entries":[]}}',
    '{"t":"key.send","d":{"entries":[{"to":"no","body":"x"}]}}',
    '{"t":"mod.kick","d":{"sid":"' + "s" * 16 + '","ban_s":1e30}}',
    '{"t":"hello","d":{"cid":"' + "c" * 16 + '"}}',
    '{"t":"welcome","d":{}}',
    '{"t":"ev","d":{"kind":"ended"}}',
    '{"t":"resume","d":{"resume_token":"x","cid":"' + "c" * 16 + '","attempt":0}}',
    '{"t":"offer","to":{"sid":"' + "s" * 16 + '"},"from":"x","off":1,"d":{"sdp":"x"}}',
    '{"t":"ice","to":{"sid":"' + "s" * 16 + '"},"d":{"candidates":' + json.dumps([{}] * 65) + "}}",
]


@pytest.fixture
async def room(server: SignalingProcess) -> tuple[str, SigClient, SigClient]:
    """Two honest members."""
    name = f"room-{secrets.token_hex(4)}"
    a, b = [await SigClient.member(server.url, name) for _ in range(2)]
    await a.event("joined", b.sid)
    return name, a, b


async def _undisturbed(a: SigClient, b: SigClient) -> None:
    await a.request("msg", {"body": "still fine"}, to="room")
    await b.expect(lambda frame: frame["t"] == "msg" and frame["d"]["body"] == "still fine")


async def test_bent_frames_of_a_member_get_errors_and_nothing_else(
    server: SignalingProcess, room: tuple[str, SigClient, SigClient]
) -> None:
    name, a, b = room
    member = await SigClient.member(server.url, name)
    await a.event("joined", member.sid)
    await b.event("joined", member.sid)
    for raw in CORPUS:
        await member.ws.send(raw)
        error = await member.expect(lambda frame: frame["t"] == "error")
        assert error["d"]["code"] in ("malformed", "unsupported", "too_large"), raw[:60]
    await _undisturbed(a, b)
    await member.request("msg", {"body": "me too"}, to="room")
    assert not [frame for frame in a.frames if frame["t"] != "msg"]


async def test_bent_first_frames_open_nothing(
    server: SignalingProcess, room: tuple[str, SigClient, SigClient]
) -> None:
    for raw in CORPUS:
        client = await SigClient.connect(server.url)
        await client.ws.send(raw)
        if len(raw) > 8192:
            assert await client.closes() == 4504
        elif '"hello"' in raw and "cid" in raw:
            assert await client.closes() == 4500
        else:
            error = await client.expect(lambda frame: frame["t"] == "error")
            assert error["d"]["code"] in (
                "malformed",
                "unsupported",
                "not_authenticated",
                "resume_failed",
            )
    await _undisturbed(*room[1:])


async def test_binary_and_oversized_frames_end_their_connection(
    server: SignalingProcess, room: tuple[str, SigClient, SigClient]
) -> None:
    for raw, code in ((b"\x00" * 10, 4504), ("x" * 140_000, 1009)):
        member = await SigClient.member(server.url, room[0])
        await member.ws.send(raw)
        assert await member.closes() == code
    await _undisturbed(*room[1:])


async def test_who_says_nothing_is_shown_out_after_three_seconds(server: SignalingProcess) -> None:
    silent = await SigClient.connect(server.url)
    assert await silent.closes(within=8) == 4504


async def test_a_resume_that_failed_is_no_reason_to_stay_longer(server: SignalingProcess) -> None:
    silent = await SigClient.connect(server.url)
    nobodys = f"{'s' * 16}.{'x' * 43}"
    data = {"resume_token": nobodys, "cid": silent.cid, "attempt": 1, "epoch": "", "off": 0}
    with pytest.raises(RequestFailedError, match="resume_failed"):
        await silent.request("resume", data)
    assert await silent.closes(within=8) == 4504


async def test_a_flood_is_cut_off_and_its_room_served(
    server: SignalingProcess, room: tuple[str, SigClient, SigClient]
) -> None:
    name, a, b = room
    flooder = await SigClient.member(server.url, name)
    frame = json.dumps({"t": "ping", "d": {"ts": 1}})

    async def flood() -> None:
        try:
            while True:
                await flooder.ws.send(frame)
                await asyncio.sleep(0)
        except ConnectionClosed:
            pass

    flooding = asyncio.create_task(flood())
    await _undisturbed(a, b)
    assert await flooder.closes() == 4006
    await flooding
    await _undisturbed(a, b)


async def test_few_large_frames_are_a_flood_too(
    server: SignalingProcess, room: tuple[str, SigClient, SigClient]
) -> None:
    name, a, b = room
    heavy = await SigClient.member(server.url, name)
    frame = json.dumps({"t": "ping", "d": {"ts": 1}}) + " " * 60_000
    for _ in range(20):
        await heavy.ws.send(frame)
    error = await heavy.expect(lambda frame: frame["t"] == "error")
    assert error["d"]["code"] == "rate_limited"
    assert error["d"]["retry_after_ms"] > 0
    assert len([frame for frame in heavy.frames if frame["t"] == "pong"]) >= 16
    await _undisturbed(a, b)


async def test_a_resume_gives_no_fresh_allowance(server: SignalingProcess) -> None:
    heavy = await SigClient.member(server.url, f"room-{secrets.token_hex(4)}")
    frame = json.dumps({"t": "ping", "d": {"ts": 1}}) + " " * 60_000
    start, taken = time.monotonic(), 0
    for cut in (False, True, False, True):
        for _ in range(20):
            await heavy.ws.send(frame)
        await eventually(lambda client=heavy: len(_answers(client)) == 20)
        taken += _answers(heavy).count("pong")
        if cut:
            heavy.abort()
            await heavy.closes()
        heavy = await heavy.resume_on(server.url)
    assert taken >= 16
    assert taken * len(frame) <= (1 << 20) + 65_536 * (time.monotonic() - start)


def _answers(client: SigClient) -> list[str]:
    return [frame["t"] for frame in client.frames if frame["t"] in ("pong", "error")]


async def test_a_member_that_does_not_read_is_cut_off_and_gets_everything_when_it_comes_back(
    server: SignalingProcess,
) -> None:
    name = f"room-{secrets.token_hex(4)}"
    senders = [await SigClient.member(server.url, name) for _ in range(6)]
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", server.port))
    lazy = await SigClient.hello(server.url, sock=narrow)
    await lazy.join(name)
    lazy.ws.transport.pause_reading()
    body = "x" * 8000
    before = _slow(server)
    for _ in range(80):
        await asyncio.gather(*(sender.request("msg", {"body": body}, to="room") for sender in senders))
    await eventually(lambda: _slow(server) > before)
    lazy.ws.transport.abort()
    back = await lazy.resume_on(server.url)
    assert back.resumed["recovered"]
    assert back.resumed["missed"] > 100
    await eventually(lambda: len(_messages(lazy, back)) == 480)
    assert back.closed is None


def _messages(*clients: SigClient) -> set[int]:
    return {frame["off"] for client in clients for frame in client.frames if frame["t"] == "msg"}


def _slow(server: SignalingProcess) -> float:
    name = 'sig_closed_total{code="4002"}'
    return server.metric(name) if name in server.get("/metrics")[1] else 0.0


async def test_http_rubbish_on_the_port_harms_nobody(
    server: SignalingProcess, room: tuple[str, SigClient, SigClient]
) -> None:
    for raw in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: no\r\n\r\n",
        b"\x00" * 4096,
    ):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            await asyncio.to_thread(_drain, connection)
    await _undisturbed(*room[1:])
    assert "Traceback" not in server.text


def _drain(connection: socket.socket) -> None:
    connection.settimeout(8)
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        pass
