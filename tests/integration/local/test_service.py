"""One port in front of all ready pods."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from callcluster_operator.local.service import Service


@asynccontextmanager
async def backend(name: bytes) -> AsyncIterator[int]:
    """Answers each line with its name and the line, and says goodbye when the other side has finished."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(name + b" " + line)
        writer.write(b"bye")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def service(ports: list[int]) -> AsyncIterator[int]:
    made = Service(lambda: ports)
    port = await made.listen(0)
    try:
        yield port
    finally:
        await made.close()


async def ask(port: int, text: bytes = b"x\n") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    answer = await reader.readline()
    writer.close()
    return answer


async def test_connections_go_to_the_ready_pods_in_turn() -> None:
    async with backend(b"a") as a, backend(b"b") as b, service([a, b]) as port:
        assert {await ask(port), await ask(port)} == {b"a x\n", b"b x\n"}


async def test_an_established_connection_stays_when_its_pod_takes_no_new_ones() -> None:
    ports: list[int] = []
    async with backend(b"a") as a, backend(b"b") as b, service(ports) as port:
        ports.append(a)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"1\n")
        assert await reader.readline() == b"a 1\n"
        ports[:] = [b]
        assert await ask(port) == b"b x\n"
        writer.write(b"2\n")
        assert await reader.readline() == b"a 2\n"
        writer.close()


async def test_a_connection_waits_for_a_pod_that_is_just_being_started() -> None:
    ports: list[int] = []
    async with backend(b"a") as a, service(ports) as port:
        answer = asyncio.create_task(ask(port))
        await asyncio.sleep(0)
        ports.append(a)
        assert await answer == b"a x\n"


async def test_one_side_may_finish_while_the_other_still_speaks() -> None:
    async with backend(b"a") as a, service([a]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"last\n")
        writer.write_eof()
        assert await reader.read() == b"a last\nbye"
        writer.close()


async def test_a_pod_that_breaks_off_breaks_off_its_connection() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with service([server.sockets[0].getsockname()[1]]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            pass  # as good an end
        writer.close()
    server.close()


async def test_a_large_body_passes_unharmed_to_a_slow_reader() -> None:
    body = bytes(range(256)) * 4_000

    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(give, "127.0.0.1", 0)
    async with service([server.sockets[0].getsockname()[1]]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        got = b""
        while chunk := await reader.read(5000):
            got += chunk
        assert got == body
        writer.close()
    server.close()


async def test_it_listens_on_loopback_only_and_closing_frees_the_port() -> None:
    made = Service(list)
    port = await made.listen(0)
    with socket.socket() as taken, pytest.raises(OSError, match="in use"):
        taken.bind(("127.0.0.1", port))
    with socket.socket() as other:
        # All other addresses of the network of this machine itself are free.
        other.bind(("127.0.0.2", port))
    await made.close()
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
