"""Revocation over coturn's command line, against a stand-in that speaks like it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from callcluster_turn import coturn_cli
from callcluster_turn.coturn_cli import CoturnCLIError

PASSWORD = "password-of-this-run"


class CommandLine:
    """Sessions by id, with their user names."""

    def __init__(self, sessions: dict[str, str], immortal: bool = False) -> None:
        self.sessions = sessions
        self.immortal = immortal

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.talk(reader, writer)
        finally:
            writer.close()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"TURN Server\r\nCoturn-4.6.1 'Gorst'\r\n\r\nType '?' for help\r\nEnter password: \r\n"
        )
        if (await reader.readline()).strip().decode() != PASSWORD:
            writer.write(b"Enter password: \r\n")
            return
        writer.write(b"> ")
        while line := (await reader.readline()).decode().split():
            if line[0] == "psp":
                for number, (session, user) in enumerate(self.sessions.items(), 1):
                    if line[1] in user:
                        writer.write(
                            f"    {number}) id={session}, user <{user}>:\r\n      rp=1\r\n".encode()
                        )
            elif line[0] == "cs" and not self.immortal:
                del self.sessions[line[1]]
            writer.write(b"\r\n> ")


@asynccontextmanager
async def command_line(sessions: dict[str, str], immortal: bool = False) -> AsyncIterator[int]:
    server = await asyncio.start_server(CommandLine(sessions, immortal).serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_only_the_sessions_of_the_key_end() -> None:
    sessions = {
        "000000000000000001": "1795360774:k1.0123456789abcdef",
        "001000000000000002": "1795360774:k11.0123456789abcdef",
        "001000000000000003": "1795369999:k1.fedcba9876543210",
    }
    async with command_line(sessions) as port:
        assert await coturn_cli.end_sessions(port, PASSWORD, "k1") == 2

    assert list(sessions) == ["001000000000000002"]


async def test_the_agents_own_checks_end_and_are_not_counted() -> None:
    sessions = {
        "000000000000000001": "1795360774:k1.0123456789abcdef",
        "001000000000000002": "1795360775:k1.fedcba9876543210",
        "001000000000000003": "1795360776:k1.fedcba9876543210",
    }
    async with command_line(sessions) as port:
        assert await coturn_cli.end_sessions(port, PASSWORD, "k1", {"k1.fedcba9876543210"}) == 1

    assert not sessions


@pytest.mark.parametrize("end", ["", ">", ">:", ">:  9) id=2, user <x>:"])
async def test_a_user_name_that_looks_like_a_line_ends_no_other_session(end: str) -> None:
    sessions = {"1": f"1795360774:k1.x>: 1) id=2, user <1795360774:k1.y{end}", "2": "1795360774:k2.z"}
    async with command_line(sessions) as port:
        assert await coturn_cli.end_sessions(port, PASSWORD, "k1") == 1

    assert list(sessions) == ["2"]


async def test_sessions_that_do_not_end_are_an_error() -> None:
    async with command_line({"1": "1795360774:k1.0123456789abcdef"}, immortal=True) as port:
        with pytest.raises(CoturnCLIError, match="still running"):
            await coturn_cli.end_sessions(port, PASSWORD, "k1", attempts=2)


async def test_a_wrong_password_is_an_error() -> None:
    async with command_line({}) as port:
        with pytest.raises(CoturnCLIError, match="hung up"):
            await coturn_cli.end_sessions(port, "wrong", "k1")


async def test_a_command_line_that_is_not_there_is_an_error() -> None:
    async with command_line({}) as port:
        pass
    with pytest.raises(CoturnCLIError, match="does not answer"):
        await coturn_cli.end_sessions(port, PASSWORD, "k1")
