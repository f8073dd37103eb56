"""coturn's command line interface on loopback: finds and ends the sessions of one key."""

from __future__ import annotations

import asyncio
import re

TIMEOUT_SECONDS = 5.0
PROMPT = b"> "
_SESSION = re.compile(rb"\bid=(\d{1,20}), user <")


class CoturnCLIError(Exception):
    """coturn's command line did not answer as it should."""


class CoturnCLI:
    """One logged-in connection; use as an async context manager.

    Raises:
        CoturnCLIError: on entering, if there is no connection or the password is refused.
    """

    def __init__(self, port: int, password: str) -> None:
        self._port = port
        self._password = password

    async def __aenter__(self) -> CoturnCLI:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                # The listing of a full slice is one answer.
                self._reader, self._writer = await asyncio.open_connection(
                    "127.0.0.1", self._port, limit=2**26
                )
                await self._reader.readuntil(b"password:")
        except (OSError, asyncio.IncompleteReadError):
            raise CoturnCLIError("coturn's command line does not answer") from None
        await self._command(self._password)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def sessions(self, kid: str) -> tuple[str, ...]:
        """Ids of the running sessions whose credential was minted with key ``kid``."""
        # ":" ends the expiry and "." the key id, so this is no part of another user's name.
        listing = await self._command(f"psp :{kid}.")
        return tuple(match.decode() for match in _SESSION.findall(listing))

    async def end(self, session: str) -> None:
        """End a session: its relay port closes, and the client's next request is refused."""
        await self._command(f"cs {session}")

    async def _command(self, line: str) -> bytes:
        self._writer.write(line.encode() + b"\r\n")
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._reader.readuntil(PROMPT)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise CoturnCLIError("coturn's command line hung up") from None


async def end_sessions(port: int, password: str, kid: str, attempts: int = 20) -> int:
    """End all sessions of a key that is retired already, also those that were being made meanwhile.

    Returns:
        How many sessions were ended.

    Raises:
        CoturnCLIError: coturn does not answer, or sessions are left after all attempts.
    """
    ended: set[str] = set()
    clear = 0
    async with CoturnCLI(port, password) as cli:
        for _ in range(attempts):
            sessions = await cli.sessions(kid)
            clear = 0 if sessions else clear + 1
            if clear == 2:
                return len(ended)
            for session in sessions:
                await cli.end(session)
            ended.update(sessions)
            # A request that passed authentication just before the key went may still become a session.
            await asyncio.sleep(0.25)
    raise CoturnCLIError("sessions of the key are still running")
