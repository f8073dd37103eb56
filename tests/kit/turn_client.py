"""A TURN client for tests: every message is under the test's control."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import cast

from callcluster_common import turn_credentials
from callcluster_common.keyset import Key
from callcluster_common.stun import Attribute, IPAddress, Message, Method
from callcluster_turn.client import LongTermClient, allocate_attributes, lifetime_attribute

Address = tuple[str, int]
FIRST_CHANNEL = 0x4000


class NoAnswerError(Exception):
    """The server said nothing."""


class _Inbox(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.control: asyncio.Queue[bytes] = asyncio.Queue()
        self.media: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        # Channel data starts with 0b01 (RFC 8656 section 12), STUN with 0b00.
        (self.media if data[0] >> 6 == 1 else self.control).put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        """The server's port is closed: requests time out."""


class TURNClient:
    """One UDP socket, one credential, at most one allocation. Use as an async context manager."""

    def __init__(
        self, server: Address, credential: tuple[str, str], local: Address, timeout: float = 20.0
    ) -> None:
        self.username = credential[0]
        self.local = local
        self._client = LongTermClient(*credential)
        self._server = server
        self._timeout = timeout
        self._version = ipaddress.ip_address(server[0]).version

    async def __aenter__(self) -> TURNClient:
        loop = asyncio.get_running_loop()
        self._transport, self._inbox = await loop.create_datagram_endpoint(
            _Inbox, local_addr=self.local, remote_addr=self._server
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    async def request(
        self,
        method: Method,
        attributes: list[tuple[int, bytes]] | None = None,
        peer: tuple[IPAddress, int] | None = None,
    ) -> Message:
        """Ask, answering challenges, and return what the server says in the end."""
        data = self._client.request(method, attributes or [], peer=peer)
        end = time.monotonic() + self._timeout
        while time.monotonic() < end:
            self._transport.sendto(data)
            try:
                async with asyncio.timeout(0.5):
                    while True:
                        outcome = self._client.receive(await self._inbox.control.get())
                        if isinstance(outcome, Message):
                            return outcome
                        if outcome is not None:
                            data = outcome
                            self._transport.sendto(data)
            except TimeoutError:
                continue
        raise NoAnswerError(method.name)

    async def allocate(self) -> Message:
        return await self.request(Method.ALLOCATE, allocate_attributes(self._version))

    async def refresh(self, seconds: int = 600) -> Message:
        return await self.request(Method.REFRESH, [lifetime_attribute(seconds)])

    async def permit(self, peer: str, port: int = 9) -> Message:
        return await self.request(Method.CREATE_PERMISSION, peer=(ipaddress.ip_address(peer), port))

    async def bind_channel(self, peer: Address, channel: int = FIRST_CHANNEL) -> Message:
        number = (int(Attribute.CHANNEL_NUMBER), struct.pack("!HH", channel, 0))
        return await self.request(
            Method.CHANNEL_BIND, [number], peer=(ipaddress.ip_address(peer[0]), peer[1])
        )

    def send(self, payload: bytes, channel: int = FIRST_CHANNEL) -> None:
        """Send through the channel."""
        self._transport.sendto(struct.pack("!HH", channel, len(payload)) + payload)

    async def receive(self, timeout: float = 20.0) -> bytes:
        """The next payload that came back through a channel."""
        async with asyncio.timeout(timeout):
            data = await self._inbox.media.get()
        return data[4 : 4 + int.from_bytes(data[2:4], "big")]

    async def echo(self, payload: bytes, timeout: float = 20.0) -> bool:
        """Whether ``payload`` came back from an echoing peer."""
        self.send(payload)
        try:
            while await self.receive(timeout) != payload:
                pass
        except TimeoutError:
            return False
        return True


def credential(key: Key, subject: str = "somebody", seconds: int = 600) -> tuple[str, str]:
    """User name and password that expire in ``seconds``."""
    return turn_credentials.mint(key, subject, int(time.time()) + seconds)


class _Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._transport.sendto(data, addr)

    def error_received(self, exc: Exception) -> None:
        """A relay port closed while an echo was under way."""


class EchoPeer:
    """A peer that sends back what it gets."""

    def __init__(self, address: Address) -> None:
        self.address = address

    async def __aenter__(self) -> EchoPeer:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(_Echo, local_addr=self.address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()


@dataclass
class Pump:
    """Sends numbered packets through an allocation to an echoing peer, and counts what comes back."""

    client: TURNClient
    interval: float = 0.02
    times: list[float] = field(default_factory=list)
    """When each packet was sent."""
    seen: set[int] = field(default_factory=set)

    async def __aenter__(self) -> Pump:
        self._running = True
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._receive())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = False
        await self._tasks[0]
        # The last packets are still on their way.
        end = time.monotonic() + 20.0
        while self.lost and time.monotonic() < end:
            await asyncio.sleep(0.01)
        self._tasks[1].cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def sent(self) -> int:
        return len(self.times)

    @property
    def lost(self) -> int:
        """Packets without an echo so far."""
        return self.sent - len(self.seen)

    def missing(self, age: float) -> int:
        """Packets without an echo that were sent at least ``age`` seconds ago."""
        due = time.monotonic() - age
        return sum(sent <= due and number not in self.seen for number, sent in enumerate(self.times))

    async def _send(self) -> None:
        while self._running:
            self.client.send(struct.pack("!I", self.sent) + bytes(156))
            self.times.append(time.monotonic())
            await asyncio.sleep(self.interval)

    async def _receive(self) -> None:
        while True:
            payload = await self.client.receive(timeout=3600)
            self.seen.add(struct.unpack_from("!I", payload)[0])
