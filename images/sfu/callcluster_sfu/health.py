"""Whether the UDP port answers: asked over the network as a client would, with credentials of its own."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, field

from callcluster_common import stun
from callcluster_common.stun import Attribute, Kind, Message, Method, STUNError

log = logging.getLogger(__name__)

EVERY_SECONDS = 2.0
ANSWER_SECONDS = 0.5
TRIES = 4
"""In a row: a busy port may lose a datagram."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Under these the plane answers without any client; known to this process alone."""

    ufrag: bytes = field(default_factory=lambda: secrets.token_hex(8).encode(), repr=False)
    password: bytes = field(default_factory=lambda: secrets.token_hex(16).encode(), repr=False)


class _Answers(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.received.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error: the time-out tells of it."""


class Health:
    """Checks for good, by :meth:`watch`; ``problem`` is what the latest check found."""

    def __init__(self, host: str, port: int, credentials: Credentials) -> None:
        self._target = ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)
        self._credentials = credentials
        self.problem: str | None = "the UDP port was not checked yet"

    async def watch(self) -> None:
        """Check every two seconds."""
        loop = asyncio.get_running_loop()
        transport, answers = await loop.create_datagram_endpoint(_Answers, remote_addr=self._target)
        try:
            while True:
                answered = await self._answers(transport, answers.received)
                before, self.problem = self.problem, None if answered else "the UDP port does not answer"
                if before != self.problem:
                    log.log(
                        logging.INFO if answered else logging.ERROR,
                        "the UDP port %s",
                        "answers" if answered else "does not answer",
                    )
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            transport.close()

    async def _answers(self, transport: asyncio.DatagramTransport, received: asyncio.Queue[bytes]) -> bool:
        ufrag, password = self._credentials.ufrag, self._credentials.password
        # RFC 8445 section 7.2.2: the user fragment of the one who is asked, and that of the one who asks.
        username = (Attribute.USERNAME, ufrag + b":health")
        check = Message(Method.BINDING, Kind.REQUEST, (username,))
        for _ in range(TRIES):
            transport.sendto(stun.encode(check, password))
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    while not _is_answer(await received.get(), check, password):
                        pass  # a late answer, or a stranger's
                return True
            except TimeoutError:
                continue
        return False


def _is_answer(data: bytes, check: Message, password: bytes) -> bool:
    """Whether ``data`` is the signed success to ``check``."""
    try:
        answer = stun.parse(data)
    except STUNError:
        return False
    expected = (Method.BINDING, Kind.SUCCESS, check.transaction)
    return (answer.method, answer.kind, answer.transaction) == expected and stun.is_authentic(
        data, password
    )
