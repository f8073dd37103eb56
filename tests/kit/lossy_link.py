"""A link between clients and a UDP server that loses datagrams, or carries only so much."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
LARGEST = 65_536
BUFFER_BYTES = 1 << 20
Address = tuple[str, int]


@dataclass
class Conditions:
    """How the link is; may change while traffic flows."""

    loss: float = 0.0
    """Share of datagrams that get lost, each way."""
    bits_per_second: float | None = None
    """What it carries towards clients."""
    queue_seconds: float = 0.2
    """Datagrams that would wait for longer than this for their turn are lost."""


@dataclass
class Counts:
    """Datagrams of one way."""

    carried: int = 0
    lost: int = 0


class LossyLink:
    """Use :func:`lossy_link`. What it loses is drawn from a seed of its own, so that runs are alike."""

    def __init__(self, server: Address) -> None:
        self.conditions = Conditions()
        self.up = Counts()
        self.down = Counts()
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._chance = random.Random(7)
        self._free_at = 0.0
        self._backs: dict[Address, socket.socket] = {}
        self._front = self._listen(self._from_client)
        self._front.bind((LOOPBACK, 0))

    @property
    def port(self) -> int:
        """Where clients send to, on the loopback interface."""
        return int(self._front.getsockname()[1])

    def close(self) -> None:
        """Let go of all ports; what still waits for its turn is lost."""
        for each in (self._front, *self._backs.values()):
            self._loop.remove_reader(each)
            each.close()

    def _listen(self, received: Callable[[bytes, Address], None]) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)

        def read() -> None:
            try:
                while True:
                    received(*sock.recvfrom(LARGEST))
            except (BlockingIOError, ConnectionRefusedError):
                return  # nothing more for now, or the other end has closed

        self._loop.add_reader(sock, read)
        return sock

    def _from_client(self, data: bytes, client: Address) -> None:
        if client not in self._backs:
            # A port for each client: by that the server tells them apart.
            back = self._listen(lambda data, _: self._from_server(data, client))
            back.connect(self._server)
            self._backs[client] = back
        if not self._loses(self.up):
            self._deliver(self._backs[client], data, None)

    def _from_server(self, data: bytes, client: Address) -> None:
        now = self._loop.time()
        rate = self.conditions.bits_per_second
        waits = max(0.0, self._free_at - now) if rate else 0.0
        if self._loses(self.down, waits > self.conditions.queue_seconds):
            return
        if rate:
            self._free_at = now + waits + len(data) * 8 / rate
            self._loop.call_at(self._free_at, self._deliver, self._front, data, client)
        else:
            self._deliver(self._front, data, client)

    def _loses(self, counts: Counts, is_full: bool = False) -> bool:
        is_lost = is_full or self._chance.random() < self.conditions.loss
        counts.lost += is_lost
        counts.carried += not is_lost
        return is_lost

    @staticmethod
    def _deliver(sock: socket.socket, data: bytes, address: Address | None) -> None:
        if sock.fileno() < 0:
            return
        try:
            sock.send(data) if address is None else sock.sendto(data, address)
        except (BlockingIOError, ConnectionRefusedError):
            return  # as a network would lose it


@asynccontextmanager
async def lossy_link(server: Address) -> AsyncIterator[LossyLink]:
    """A link that loses nothing as yet."""
    link = LossyLink(server)
    try:
        yield link
    finally:
        link.close()
