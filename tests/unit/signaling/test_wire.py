"""What a connection to Redis says when it cannot be made."""

import asyncio

import pytest
from callcluster_signaling.bus.wire import WireError, connect

PASSWORD = "canary-password"


async def test_a_server_that_knows_no_hello_does_not_put_the_password_into_the_error() -> None:
    """Redis before 6, and some proxies, repeat the arguments of a command that they do not know."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = await reader.readuntil(b"SETNAME\r\n")
        assert PASSWORD.encode() in command
        writer.write(
            b"-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `%b`, \r\n"
            % PASSWORD.encode()
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(WireError, match="unknown command `HELLO`") as problem:
            await connect(f"redis://:{PASSWORD}@127.0.0.1:{port}", lambda channel, data: None, "test")
    assert PASSWORD not in str(problem.value)
