"""Signaling: CPU per relayed message and memory per connection, against a bare echo server.

Both servers run on this machine in turn, A B A B ..., under the same clients and the same bytes. CPU is the
server process's own user and system time, read from /proc, so that the load generator and the rest of the
machine don't count. Prints one JSON line a figure.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kit.ports import free_port
from kit.redis_server import RedisServer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

BODY = "x" * 300
RATE = 15
"""Messages a second and connection: half of the limit, so that the limiter stays out of the picture."""

ECHO = """
import asyncio, sys
from websockets.asyncio.server import serve
async def echo(ws):
    async for message in ws:
        await ws.send(message)
async def main():
    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
"""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def anonymous_kib(pid: int) -> int:
    """Anonymous resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise RuntimeError("no RssAnon in /proc/<pid>/status")


@dataclass
class Server:
    """A server under test."""

    pid: int
    url: str
    is_echo: bool


@asynccontextmanager
async def echo_server() -> AsyncIterator[Server]:
    """The bare peer."""
    process = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield Server(process.pid, f"ws://127.0.0.1:{int(process.stdout.readline())}", is_echo=True)
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def signaling_server(redis_url: str) -> AsyncIterator[Server]:
    """Ours, as it ships."""
    port, control = free_port(), free_port()
    environment = {
        **os.environ,
        "PORT": str(port),
        "CONTROL_PORT": str(control),
        "CONTROL_HOST": "127.0.0.1",
        "REDIS_URL": redis_url,
        "JWT_SECRET": secrets.token_urlsafe(48),
        "GUEST_ACCESS": "true",
        "LOG_LEVEL": "error",
    }
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "callcluster_signaling"], env=environment, stdout=output, stderr=output
        )
        try:
            yield Server(process.pid, f"ws://127.0.0.1:{port}", is_echo=False)
        finally:
            process.kill()
            process.wait()


async def open_socket(server: Server) -> ClientConnection:
    """Connect, trying again while the server starts."""
    for _ in range(200):
        try:
            protocols = None if server.is_echo else [Subprotocol("sig.v1")]
            return await connect(server.url, subprotocols=protocols, compression=None, ping_interval=None)
        except (OSError, InvalidStatus):  # not up yet, or too many newcomers from one address at once
            await asyncio.sleep(0.05)
    raise RuntimeError("the server does not answer")


async def reply(socket: ClientConnection, kind: str) -> dict[str, object]:
    """Read until a frame of this type comes."""
    while True:
        frame = json.loads(await socket.recv())
        if frame["t"] == kind:
            return dict(frame)
        if frame["t"] == "error":
            raise RuntimeError(frame["d"])


async def member(server: Server, room: str) -> tuple[ClientConnection, str]:
    """Connect and, at our server, join a room."""
    socket = await open_socket(server)
    if server.is_echo:
        return socket, ""
    await socket.send(json.dumps({"t": "hello", "id": "1", "d": {"cid": secrets.token_urlsafe(12)}}))
    sid = str((await reply(socket, "hello.ok"))["d"]["sid"])  # type: ignore[index]
    await socket.send(json.dumps({"t": "join", "id": "2", "d": {"room": room}}))
    await reply(socket, "join.ok")
    return socket, sid


async def connect_rooms(server: Server, rooms: int, size: int) -> list[list[tuple[ClientConnection, str]]]:
    """Fill rooms, a few at a time."""
    gate = asyncio.Semaphore(8)

    async def one(number: int) -> list[tuple[ClientConnection, str]]:
        async with gate:
            return [await member(server, f"bench-{number}") for _ in range(size)]

    return list(await asyncio.gather(*(one(number) for number in range(rooms))))


async def relay_cost(server: Server, rooms: int, size: int, seconds: float) -> float:
    """CPU microseconds of the server for each delivered message."""
    members = await connect_rooms(server, rooms, size)
    delivered = 0
    expected = 0

    async def read(socket: ClientConnection) -> None:
        nonlocal delivered
        needle = '"t":"msg"'
        async for frame in socket:
            assert isinstance(frame, str)
            if server.is_echo or needle in frame:
                delivered += 1

    readers = [asyncio.create_task(read(socket)) for room in members for socket, _ in room]
    await asyncio.sleep(0.5)
    delivered = 0
    before = cpu_seconds(server.pid)
    ticks = int(seconds * RATE)
    senders = [(room[index][0], room[(index + 1) % size][1]) for room in members for index in range(size)]
    frames = [
        json.dumps({"t": "msg", "to": {"sid": to} if to else "room", "d": {"body": BODY}})
        for _, to in senders
    ]
    loop = asyncio.get_running_loop()
    start = loop.time()
    for tick in range(ticks):
        # Spread the senders over the tick, as real members are.
        for index, (socket, _) in enumerate(senders):
            await socket.send(frames[index])
            expected += 1
            if index % 16 == 15:
                due = start + (tick + index / len(senders)) / RATE
                await asyncio.sleep(max(0.0, due - loop.time()))
        await asyncio.sleep(max(0.0, start + (tick + 1) / RATE - loop.time()))
    async with asyncio.timeout(60):
        while delivered < expected:
            await asyncio.sleep(0.05)
    cost = (cpu_seconds(server.pid) - before) / delivered * 1e6
    for task in readers:
        task.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await asyncio.gather(*(socket.close() for room in members for socket, _ in room))
    return cost


async def memory_per_connection(server: Server, rooms: int, size: int) -> float:
    """KiB of anonymous memory of the server for each connection."""
    warm = await connect_rooms(server, 10, size)
    await asyncio.sleep(1)
    before = anonymous_kib(server.pid)
    members = await connect_rooms(server, rooms, size)
    await asyncio.sleep(1)
    grown = anonymous_kib(server.pid) - before
    await asyncio.gather(*(socket.close() for room in warm + members for socket, _ in room))
    return grown / (rooms * size)


async def idle_cost(server: Server, connections: int, seconds: float) -> float:
    """CPU milliseconds of the server for each idle connection and minute."""
    members = await connect_rooms(server, connections // 2, 2)
    await asyncio.sleep(1)
    before = cpu_seconds(server.pid)
    await asyncio.sleep(seconds)
    cost = (cpu_seconds(server.pid) - before) / connections / seconds * 60 * 1e3
    await asyncio.gather(*(socket.close() for room in members for socket, _ in room))
    return cost


def emit(
    name: str, unit: str, values: list[float], ratios: list[float] | None = None, aim: str = ""
) -> None:
    """Print one figure."""
    figure: dict[str, object] = {
        "bench": "signaling",
        "name": name,
        "unit": unit,
        "median": statistics.median(values),
        "values": values,
    }
    if ratios:
        figure |= {"ratio": statistics.median(ratios), "ratios": ratios, "peer": "bare websockets echo"}
    if aim:
        figure["aim"] = aim
    print(json.dumps(figure), flush=True)


async def compare(bus: str, redis_url: str, rounds: int, seconds: float) -> None:
    """Run ours and the peer in turn on one bus."""
    for size in (2, 10):
        costs: list[float] = []
        bare: list[float] = []
        for _ in range(rounds):
            async with signaling_server(redis_url) as ours:
                costs.append(await relay_cost(ours, 200 // size, size, seconds))
            async with echo_server() as peer:
                bare.append(await relay_cost(peer, 200 // size, size, seconds))
        ratios = [cost / base for cost, base in zip(costs, bare, strict=True)]
        aim = "<= 1.5" if bus == "memory" else "<= 2.5"
        emit(f"relay, {bus} bus, rooms of {size}", "us CPU per message", costs, ratios, f"ratio {aim}")
        emit(f"echo, as rooms of {size} ({bus} run)", "us CPU per message", bare)
    ours_kib: list[float] = []
    bare_kib: list[float] = []
    for _ in range(rounds):
        async with signaling_server(redis_url) as ours:
            ours_kib.append(await memory_per_connection(ours, 500, 2))
        async with echo_server() as peer:
            bare_kib.append(await memory_per_connection(peer, 500, 2))
    extra = [one - other for one, other in zip(ours_kib, bare_kib, strict=True)]
    emit(f"memory above the bare server, {bus} bus", "KiB per connection", extra, aim="<= 20")
    emit(f"memory of the bare server ({bus} run)", "KiB per connection", bare_kib)
    async with signaling_server(redis_url) as ours:
        emit(f"idle, {bus} bus", "ms CPU per connection and minute", [await idle_cost(ours, 400, 15)])


async def main() -> None:
    """Measure on both buses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    rounds, seconds = (1, 2.0) if parser.parse_args().quick else (3, 6.0)
    await compare("memory", "memory://", rounds, seconds)
    with contextlib.closing(RedisServer()) as redis:
        redis.start()
        await compare("Redis", redis.url, rounds, seconds)


if __name__ == "__main__":
    asyncio.run(main())
