"""The addresses that STUN and TURN servers give this side, asked for while the call goes on without them.

aioice gathers all addresses before it offers the first, so that a server which is down costs five seconds
at each end. Here it gathers its own alone, at once; what a server adds comes behind, as a late candidate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aioice import Candidate, Connection, TransportPolicy, stun
from aioice.ice import StunProtocol, relayed_candidate, server_reflexive_candidate

ANSWER_WITHIN_S = 5.0
RELEASE_WITHIN_S = 2.0
"""A TURN server that does not take its relay back within this time is left to notice by itself."""
UNREACHABLE = (OSError, UnicodeError, OverflowError)
"""What connecting raises; the last two for a host name or a port that can't be one."""


class Servers:
    """Asks the servers of one ICE connection; made before that gathers.

    Args:
        connection: aioice's; asks no server itself from now on.
        found: called with each candidate once the connection knows it.
        ended: awaited when nothing more will come, unless there was no server to ask.
    """

    def __init__(
        self,
        connection: Connection,
        found: Callable[[Candidate], None],
        ended: Callable[[], Awaitable[None]],
    ) -> None:
        self.relay_trouble: str | None = None
        """Why the TURN server gave no relay, in words."""
        self._connection = connection
        self._found = found
        self._ended = ended
        self._stun, self._turn = connection.stun_server, connection.turn_server
        connection.stun_server = connection.turn_server = None
        self.finished = not (self._stun or self._turn)
        """Whether nothing more will come."""
        self._relay: StunProtocol | None = None
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Ask all, unless that was done; the connection has gathered its own addresses."""
        if self._work is None and not self.finished:
            self._work = asyncio.create_task(self._ask())

    async def finish(self) -> None:
        """Wait until nothing more will come."""
        if self._work:
            await asyncio.wait([self._work])

    def fail_if_broken(self) -> None:
        """Raise what ended the asking, which only a bug does."""
        if self._work and self._work.done() and not self._work.cancelled():
            self._work.result()

    async def stop(self) -> None:
        """Ask no longer; returns when no socket of an unanswered question is left."""
        self.finished = True
        if self._work:
            self._work.cancel()
            await asyncio.wait([self._work])

    async def release(self, closing: asyncio.Task[None]) -> None:
        """Await ``closing``, which closes the connection, but not a TURN server that is gone."""
        await asyncio.wait([closing], timeout=RELEASE_WITHIN_S)
        if self._relay and not closing.done():
            # aioice sends the deletion again and again for 40 s; cancelled, it frees the socket.
            deletion: asyncio.Task[None] | None = vars(self._relay.transport)["_TurnTransport__close_task"]
            if deletion:
                deletion.cancel()
        await closing

    async def _ask(self) -> None:
        try:
            await self._ask_all()
        finally:
            stopped, self.finished = self.finished, True
            if not stopped:  # the other side waits for the end of the candidates, whatever came of them
                await self._ended()

    async def _ask_all(self) -> None:
        async with asyncio.TaskGroup() as questions:
            if self._turn:
                questions.create_task(self._ask_for_relay(self._turn))
            if self._stun and self._connection._transport_policy == TransportPolicy.ALL:
                for protocol in self._connection._protocols:
                    if ":" not in protocol.local_candidate.host:
                        questions.create_task(self._ask_for_mapping(protocol, self._stun))

    async def _ask_for_relay(self, server: tuple[str, int]) -> None:
        connection = self._connection
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                candidate, self._relay = await relayed_candidate(
                    component=1,
                    hide_related_address=connection._transport_policy == TransportPolicy.RELAY,
                    protocol_factory=lambda: StunProtocol(connection),
                    turn_server=server,
                    turn_username=connection.turn_username,
                    turn_password=connection.turn_password,
                    turn_ssl=connection.turn_ssl,
                    turn_transport=connection.turn_transport,
                )
        except stun.TransactionFailed as refused:
            code, reason = refused.response.attributes.get("ERROR-CODE", (0, "no reason"))
            self.relay_trouble = f"refused: {code} {reason}"
        except (TimeoutError, stun.TransactionError):
            self.relay_trouble = "did not answer"
        except UNREACHABLE as error:
            self.relay_trouble = f"can't be reached: {getattr(error, 'strerror', None) or error}"
        else:
            connection._protocols.append(self._relay)
            for remote in connection.remote_candidates:
                connection._pair_remote_candidate(remote)
            connection.sort_check_list()
            self._add(candidate)

    async def _ask_for_mapping(self, protocol: StunProtocol, server: tuple[str, int]) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                candidate, _ = await server_reflexive_candidate(protocol, server)
        except (stun.TransactionError, *UNREACHABLE):
            return  # this side has its other addresses
        own = protocol.local_candidate
        if (candidate.host, candidate.port) != (own.host, own.port):
            self._add(candidate)

    def _add(self, candidate: Candidate) -> None:
        self._connection._local_candidates.append(candidate)
        self._found(candidate)
