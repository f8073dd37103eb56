"""Free ports of this machine, below the ephemeral range where a server must keep them."""

from __future__ import annotations

import random
import socket


def free_port() -> int:
    """A TCP port of the loopback address that is free now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Several of them; they are different, because all are held while they are picked."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def free_turn_port() -> int:
    """A port with its successor, both free for UDP and TCP: a TURN slot's listeners."""
    while True:
        port = random.randrange(3600, 5140, 2)
        if all(_is_free(each, kind) for each in (port, port + 1) for kind in _KINDS):
            return port


def free_block(size: int) -> tuple[int, int]:
    """First and last port of a block of UDP ports that nobody holds now."""
    while True:
        low = random.randrange(10_000, 29_000 - size, 100)
        if all(_is_free(port, socket.SOCK_DGRAM) for port in range(low, low + size, max(1, size // 50))):
            return low, low + size - 1


_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(type=kind) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
