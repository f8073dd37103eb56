"""Signaling: what a relayed message and a connection cost, against a bare `websockets` server.

Both servers run at the same time and are flooded in turn, A B A B ..., by the same clients with the same
bytes: every connection has a fixed number of messages in flight, so that the server is what limits. CPU is
the server process's own user and system time, read from /proc: the load generator, Redis and the rest of
the machine don't count. Prints one JSON line a figure.
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
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio
from callcluster_common import redis_keys
from callcluster_common.bus.redis_connection import scripts
from callcluster_common.bus.wire import connect
from kit.ports import free_port
from kit.redis_server import RedisServer
from kit.sig_load import LoadClient, open_client

BODY = "x" * 300
CONNECTIONS = 100
IN_FLIGHT = 4
WARM_UP_SECONDS = 0.4
UNLIMITED = str(10**9)

BARE = """
import asyncio, sys
from websockets.asyncio.server import broadcast, serve
groups = {}
async def echo(ws):
    async for message in ws:
        await ws.send(message)
async def relay(ws):
    group = groups.setdefault(ws.request.path, set())
    group.add(ws)
    async for message in ws:
        broadcast(group - {ws}, message)
async def main():
    handler, options = globals()[sys.argv[1]], {"compression": None, "ping_interval": None}
    async with serve(handler, "127.0.0.1", 0, **options) as server:
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


@dataclass(frozen=True)
class Server:
    """A server under test."""

    pid: int
    url: str
    bare: bool


@asynccontextmanager
async def bare_server(kind: str) -> AsyncIterator[Server]:
    """The peer: ``echo``, or ``relay`` to all others under the same path."""
    process = subprocess.Popen([sys.executable, "-c", BARE, kind], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield Server(process.pid, f"ws://127.0.0.1:{int(process.stdout.readline())}", bare=True)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@asynccontextmanager
async def signaling_server(redis_url: str) -> AsyncIterator[Server]:
    """Ours, as it ships, but for the rates."""
    port = free_port()
    environment = {
        **os.environ,
        "PORT": str(port),
        "CONTROL_PORT": "0",
        "CONTROL_HOST": "127.0.0.1",
        "REDIS_URL": redis_url,
        "JWT_SECRET": secrets.token_urlsafe(48),
        "GUEST_ACCESS": "true",
        "LOG_LEVEL": "error",
        "MESSAGES_PER_SECOND": UNLIMITED,
        "BYTES_PER_SECOND": UNLIMITED,
    }
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "callcluster_signaling"], env=environment, stdout=output, stderr=output
        )
        try:
            yield Server(process.pid, f"ws://127.0.0.1:{port}", bare=False)
        finally:
            process.kill()
            process.wait()


# Relaying


@dataclass(frozen=True)
class Traffic:
    """Who sends what to whom."""

    name: str
    size: int
    to_room: bool = False
    ids: bool = False

    @property
    def peer(self) -> str:
        """The bare server that it is compared with."""
        return "relay" if self.to_room else "echo"


TRAFFIC = (
    Traffic("one to one, rooms of 2", 2),
    Traffic("one to one, rooms of 2, each acknowledged", 2, ids=True),
    Traffic("one to one, rooms of 10", 10),
    Traffic("one to all, rooms of 10", 10, to_room=True),
)


async def member(server: Server, room: str, *, joined: bool = True) -> LoadClient:
    """Connect and, at our server, say hello and join a room."""
    if server.bare:
        return await open_client(f"{server.url}/{room}")
    client = await open_client(server.url, "sig.v1")
    client.sid = (await client.request("hello", {"cid": secrets.token_urlsafe(12)}))["sid"]
    if joined:
        await client.request("join", {"room": room})
    return client


async def members(server: Server, rooms: int, size: int, *, joined: bool = True) -> list[list[LoadClient]]:
    """Fill rooms, a few at a time."""
    gate = asyncio.Semaphore(8)
    prefix = secrets.token_hex(4)

    async def one(number: int) -> list[LoadClient]:
        async with gate:
            return [await member(server, f"{prefix}-{number}", joined=joined) for _ in range(size)]

    return list(await asyncio.gather(*(one(number) for number in range(rooms))))


@dataclass(frozen=True)
class Window:
    """What one flood showed."""

    delivered: int
    cpu: float
    wall: float


async def flood(server: Server, rooms: list[list[LoadClient]], traffic: Traffic, seconds: float) -> Window:
    """Flood for a while and look at the server's CPU."""
    clients = [client for room in rooms for client in room]
    each = traffic.size - 1 if traffic.to_room else 1
    for room in rooms:
        for index, client in enumerate(room):
            to = "room" if traffic.to_room else room[(index + 1) % len(room)].sid or "s" * 16
            client.flood(to, BODY, IN_FLIGHT, ids=traffic.ids, each=each)
    await asyncio.sleep(WARM_UP_SECONDS)
    delivered, cpu, wall = (
        sum(client.delivered for client in clients),
        cpu_seconds(server.pid),
        time.monotonic(),
    )
    await asyncio.sleep(seconds)
    window = Window(
        sum(client.delivered for client in clients) - delivered,
        cpu_seconds(server.pid) - cpu,
        time.monotonic() - wall,
    )
    for client in clients:
        client.stop()
    await quiet(clients, each)
    if any(client.lost for client in clients):
        raise RuntimeError("the server closed a connection of the flood")
    return window


async def quiet(clients: list[LoadClient], each: int) -> None:
    """Wait until nothing is in flight: the other server's turn is to be its own."""
    async with asyncio.timeout(60):
        while sum(client.delivered for client in clients) < each * sum(client.sent for client in clients):
            await asyncio.sleep(0.05)


async def relaying(bus: str, redis_url: str, traffic: Traffic, rounds: int, seconds: float) -> list[float]:
    """Compare ours and the peer under one kind of traffic; return what part of a core ours had."""
    ours: list[Window] = []
    bare: list[Window] = []
    async with signaling_server(redis_url) as server, bare_server(traffic.peer) as peer:
        here = await members(server, CONNECTIONS // traffic.size, traffic.size)
        there = await members(peer, CONNECTIONS // traffic.size, traffic.size)
        await asyncio.sleep(0.5)
        for _ in range(rounds):
            ours.append(await flood(server, here, traffic, seconds))
            bare.append(await flood(peer, there, traffic, seconds))
    ratios = [
        one.cpu / one.delivered * other.delivered / other.cpu for one, other in zip(ours, bare, strict=True)
    ]
    unit = "deliveries to a room per CPU-second" if traffic.to_room else "messages per CPU-second"
    emit(
        f"{traffic.name}, {bus} bus",
        unit,
        [window.delivered / window.cpu for window in ours],
        ratios=ratios,
        peer=f"the CPU of a bare {traffic.peer}",
        aim="<= 1.5 x" if bus == "memory" else "<= 2.5 x",
    )
    emit(
        f"bare {traffic.peer} beside {traffic.name}, {bus} bus",
        unit,
        [window.delivered / window.cpu for window in bare],
        of="peer",
    )
    return [window.cpu / window.wall for window in ours]


# Connections


async def memory(server: Server, size: int, connections: int) -> float:
    """KiB of anonymous memory for each connection; ``size`` of rooms, 0 for sessions in none."""
    rooms = (connections // size, size) if size else (connections, 1)
    held = [await members(server, 20 // max(size, 1), max(size, 1), joined=bool(size))]
    await asyncio.sleep(1)
    before = anonymous_kib(server.pid)
    held.append(await members(server, *rooms, joined=bool(size)))
    await asyncio.sleep(1)
    grown = anonymous_kib(server.pid) - before
    if any(client.lost for some in held for room in some for client in room):
        raise RuntimeError("the server closed a connection")
    return grown / connections


async def connections(bus: str, redis_url: str, rounds: int, count: int) -> None:
    """Memory of a connection, and CPU while nothing happens."""
    bare: list[float] = []
    extra: dict[int, list[float]] = {0: [], 2: [], 10: []}
    for _ in range(rounds):
        async with bare_server("echo") as peer:
            bare.append(await memory(peer, 0, count))
        for size, values in extra.items():
            async with signaling_server(redis_url) as ours:
                values.append(await memory(ours, size, count) - bare[-1])
    for size, values in extra.items():
        where = f"in rooms of {size}" if size else "in no room"
        emit(f"memory above the bare server, {where}, {bus} bus", "KiB per connection", values, aim="<= 20")
    emit(f"memory of the bare server, beside the {bus} bus", "KiB per connection", bare, of="peer")
    async with signaling_server(redis_url) as ours:
        held = await members(ours, 200, 2)
        await asyncio.sleep(1)
        cpu, wall = cpu_seconds(ours.pid), time.monotonic()
        await asyncio.sleep(15 if rounds > 1 else 3)
        cost = (cpu_seconds(ours.pid) - cpu) / (time.monotonic() - wall) / sum(map(len, held)) * 60e3
        emit(f"idle in rooms of 2, {bus} bus", "ms CPU per connection and minute", [cost])


# Redis commands


async def commands(url: str, rounds: int) -> None:
    """CPU of this process for a publish in a batch: our connection, and redis-py's pipeline."""
    batch, batches = 50, 200
    script = scripts()["publish"]
    keys = redis_keys.room("bench").keys
    arguments = ("e", "s", "c", b'["pod.1","s","t","r"]\n' + b"x" * 400, "r", b"")
    thin: list[float] = []
    stock: list[float] = []
    wire = await connect(url, lambda channel, payload: None, "bench")
    client = redis.asyncio.Redis.from_url(url, protocol=3)
    try:
        sha = await wire.ask("SCRIPT", "LOAD", script)
        for _ in range(rounds):
            cpu = time.process_time()
            for _ in range(batches):
                waiting = asyncio.Event()
                replies: list[Any] = []
                for _ in range(batch):
                    wire.call(replies.append, "EVALSHA", sha, len(keys), *keys, *arguments)
                wire.call(lambda _: waiting.set(), "PING")  # noqa: B023 -- called before the next loop
                await waiting.wait()
            thin.append((time.process_time() - cpu) / batch / batches * 1e6)
            cpu = time.process_time()
            for _ in range(batches):
                async with client.pipeline(transaction=False) as pipeline:
                    for _ in range(batch):
                        pipeline.evalsha(sha, len(keys), *keys, *arguments)
                    await pipeline.execute()
            stock.append((time.process_time() - cpu) / batch / batches * 1e6)
    finally:
        wire.abort()
        await client.aclose()
    ratios = [one / other for one, other in zip(thin, stock, strict=True)]
    name = f"publish command to Redis, {batch} in a batch"
    emit(name, "us CPU per command", thin, ratios=ratios, peer="the CPU of a redis-py pipeline")
    emit("the same by a redis-py pipeline", "us CPU per command", stock, of="peer")


def emit(name: str, unit: str, values: list[float], **more: Any) -> None:
    """Print one figure."""
    figure = {
        "bench": "signaling",
        "name": name,
        "unit": unit,
        "median": statistics.median(values),
        "values": values,
        **more,
    }
    if "ratios" in more:
        figure["ratio"] = statistics.median(more["ratios"])
    print(json.dumps(figure), flush=True)


async def main() -> None:
    """Measure on both buses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument(
        "--part", choices=("relaying", "connections", "commands"), help="measure this alone"
    )
    arguments = parser.parse_args()
    rounds, seconds, count = (1, 1.5, 200) if arguments.quick else (9, 1.5, 1_000)
    parts = [arguments.part] if arguments.part else ["relaying", "connections", "commands"]
    with contextlib.closing(RedisServer()) as server:
        server.start()
        for bus, url in (("memory", "memory://"), ("Redis", server.url)):
            if "relaying" in parts:
                shares: list[float] = []
                for traffic in TRAFFIC:
                    shares += await relaying(bus, url, traffic, rounds, seconds)
                emit(f"share of a core that the flooded server had, {bus} bus", "cores", shares)
            if "connections" in parts:
                await connections(bus, url, min(rounds, 3), count)
        if "commands" in parts:
            await commands(server.url, rounds)


if __name__ == "__main__":
    asyncio.run(main())
