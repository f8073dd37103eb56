"""The Redis connection against a server that says what it likes."""

import asyncio

import pytest
from callcluster_common.bus.wire import LOST, WireError, connect


class Fake:
    """Answers each command by the next of its replies."""

    def __init__(self, *replies: bytes) -> None:
        self._replies = list(replies)
        self.received = b""
        self._server: asyncio.Server
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"redis://:hunter2@127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
            await writer.wait_closed()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        while data := await reader.read(65_536):
            self.received += data
            if self._replies:
                writer.write(self._replies.pop(0))


def _ignore(channel: bytes, payload: bytes) -> None:
    raise AssertionError((channel, payload))


async def test_a_server_too_old_for_the_protocol_is_named_and_the_password_is_not() -> None:
    refusal = (
        b"-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `hunter2`, \r\n"
    )
    async with Fake(refusal) as url:
        with pytest.raises(WireError, match="Redis 6 or newer") as refused:
            await connect(url, _ignore, "test")
    assert "hunter2" not in str(refused.value)


async def test_a_wrong_password_is_told_without_the_password() -> None:
    async with Fake(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n") as url:
        with pytest.raises(WireError, match="WRONGPASS") as refused:
            await connect(url, _ignore, "test")
    assert "hunter2" not in str(refused.value)


async def test_nobody_there_is_an_error_like_others() -> None:
    with pytest.raises(WireError):
        await connect("redis://127.0.0.1:1", _ignore, "test")


async def test_a_certificate_file_that_is_not_there_is_named() -> None:
    with pytest.raises(WireError, match="ssl_ca_certs names can't be used: No such file"):
        await connect("rediss://127.0.0.1:1?ssl_ca_certs=/nowhere/ca.crt", _ignore, "test")


async def test_replies_come_in_order_and_pushes_between_them() -> None:
    pushes: list[tuple[bytes, bytes]] = []
    batch = b":1\r\n>3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$2\r\nhi\r\n:2\r\n-ERR no\r\n"
    async with Fake(b"%0\r\n", batch) as url:
        wire = await connect(url, lambda channel, payload: pushes.append((channel, payload)), "test")
        replies: list[object] = []
        done = asyncio.Event()
        for _ in range(2):
            wire.call(replies.append, "INCR", "x")
        wire.call(lambda reply: (replies.append(str(reply)), done.set()), "NONSENSE")
        await asyncio.wait_for(done.wait(), 5)
        assert replies == [1, 2, "ERR no"]
        assert pushes == [(b"ch", b"hi")]
        wire.abort()


async def test_a_refused_subscription_is_told_and_later_replies_find_who_asked() -> None:
    refusal = b"-NOPERM this user has no permissions to access one of the channels\r\n"
    batch = b":1\r\n" + refusal + b":2\r\n>3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n:3\r\n"
    async with Fake(b"%0\r\n", batch) as url:
        wire = await connect(url, _ignore, "test")
        asked = [
            asyncio.create_task(work)
            for work in (
                wire.ask("INCR", "x"),
                wire.subscribe("foreign"),
                wire.ask("INCR", "x"),
                wire.subscribe("ch"),
                wire.ask("INCR", "x"),
            )
        ]
        one, refused, two, subscribed, three = await asyncio.gather(*asked, return_exceptions=True)
        assert (one, two, three) == (1, 2, 3)
        assert isinstance(refused, WireError)
        assert subscribed is None
        wire.abort()


async def test_commands_of_one_tick_leave_together() -> None:
    fake = Fake(b"%0\r\n", b"+OK\r\n+OK\r\n+OK\r\n")
    async with fake as url:
        wire = await connect(url, _ignore, "test")
        fake.received = b""
        await asyncio.gather(*(wire.ask("SET", "k", number) for number in range(3)))
        assert fake.received.count(b"SET") == 3
        wire.abort()


async def test_who_waits_for_a_reply_learns_that_the_connection_broke() -> None:
    async with Fake(b"%0\r\n", b"") as url:
        wire = await connect(url, _ignore, "test")
        replies: list[object] = []
        wire.call(replies.append, "GET", "x")
        waiting = [asyncio.create_task(wire.ask("GET", "y")), asyncio.create_task(wire.subscribe("ch"))]
        await asyncio.sleep(0)
        wire.abort()
        for task in waiting:
            with pytest.raises(WireError, match="broke"):
                await task
        assert replies == [LOST]
        with pytest.raises(WireError, match="broke"):
            await wire.ask("GET", "z")
        with pytest.raises(WireError, match="broke"):
            await wire.subscribe("ch2")


async def test_a_server_that_does_not_speak_the_protocol_is_left() -> None:
    async with Fake(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        with pytest.raises(WireError):
            await connect(url, _ignore, "test")
