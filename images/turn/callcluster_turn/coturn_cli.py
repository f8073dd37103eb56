"""coturn's command line interface on loopback: finds and ends the sessions of one key."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import NamedTuple

TIMEOUT_SECONDS = 5.0
PROMPT = b"> "
_SESSION = re.compile(rb"^ *\d+\) id=(\d{1,20}), user <(.*)>:\r?$", re.MULTILINE)
"""A whole line: whoever has a key chooses user names, and one may look like the part of a line."""


class CoturnCLIError(Exception):
    """coturn's command line did not answer as it should."""


class CoturnSession(NamedTuple):
    """A session as it is listed."""

    id: str
    user: str
    """The user name of its credential."""


class CoturnCLI:
    """One logged-in connection; made by :func:`log_in`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def sessions(self, kid: str) -> tuple[CoturnSession, ...]:
        """The running sessions whose credential was minted with key ``kid``."""
        # ":" ends the expiry and "." the key id, so this is no part of another user's name.
        listing = await self.command(f"psp :{kid}.")
        return tuple(
            CoturnSession(id.decode(), user.decode(errors="replace"))
            for id, user in _SESSION.findall(listing)
        )

    async def end(self, session: str) -> None:
        """End a session: its relay port closes, and the client's next request is refused."""
        await self.command(f"cs {session}")

    async def command(self, line: str) -> bytes:
        """Send a line and return what is printed up to the next prompt."""
        self._writer.write(line.encode() + b"\r\n")
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._reader.readuntil(PROMPT)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise CoturnCLIError("coturn's command line hung up") from None


@asynccontextmanager
async def log_in(port: int, password: str) -> AsyncIterator[CoturnCLI]:
    """Connect and give the password.

    Raises:
        CoturnCLIError: there is no connection, or the password is refused.
    """
    try:
        # The listing of a full slice is one answer.
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
    except OSError:
        raise CoturnCLIError("coturn's command line does not answer") from None
    try:
        cli = CoturnCLI(reader, writer)
        # The prompt for the password has no end that could be waited for; what is typed early counts.
        await cli.command(password)
        yield cli
    finally:
        writer.close()


async def end_sessions(
    port: int, password: str, kid: str, own: Collection[str] = (), attempts: int = 20
) -> int:
    """End all sessions of a key that is retired already, also those that were being made meanwhile.

    Args:
        port: of the command line.
        password: of the command line.
        kid: the key's id.
        own: what follows the expiry in the user names of the agent's own checks: these end uncounted.
        attempts: how often to look.

    Returns:
        How many sessions of clients were ended.

    Raises:
        CoturnCLIError: coturn does not answer, or sessions are left after all attempts.
    """
    ended: set[str] = set()
    clear = 0
    async with log_in(port, password) as cli:
        for _ in range(attempts):
            sessions = await cli.sessions(kid)
            clear = 0 if sessions else clear + 1
            if clear == 2:
                return len(ended)
            for session in sessions:
                await cli.end(session.id)
                if session.user.partition(":")[2] not in own:
                    ended.add(session.id)
            # A request that passed authentication just before the key went may still become a session.
            await asyncio.sleep(0.25)
    raise CoturnCLIError("sessions of the key are still running")
