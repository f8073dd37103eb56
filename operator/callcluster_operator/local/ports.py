"""Ports of this machine: which are free, and who holds those that are not."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

LOOPBACK = "127.0.0.1"
_TYPES = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}


class PortBusyError(Exception):
    """Other programs hold ports that are needed; the message names all of them.

    Args:
        ports: number and protocol of each.
    """

    reason: ClassVar[str] = "PortBusy"

    def __init__(self, ports: Sequence[tuple[int, str]]) -> None:
        *others, last = (f"{port} ({protocol})" for port, protocol in ports)
        if others:
            super().__init__(f"ports {', '.join(others)} and {last} are in use by another program")
        else:
            super().__init__(f"port {last} is in use by another program")


def is_free(port: int, protocol: str = "TCP") -> bool:
    """Whether a server could listen on ``port`` of the loopback address and of all addresses."""
    for address in (LOOPBACK, ""):
        with socket.socket(socket.AF_INET, _TYPES[protocol]) as probe:
            if protocol == "TCP":
                # As servers do, so that connections of an earlier run that linger are no obstacle.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def require_free(ports: Iterable[Mapping[str, Any]]) -> None:
    """Check a container's ports.

    Raises:
        PortBusyError: some are taken.
    """
    needed = [(int(port["containerPort"]), str(port.get("protocol", "TCP"))) for port in ports]
    if taken := [each for each in needed if not is_free(*each)]:
        raise PortBusyError(taken)


def reserve(port: int) -> socket.socket | None:
    """Keep other instances of this program off a free TCP port, as long as the socket is open.

    Until the server has started, and while it is restarted, nobody listens there.

    Returns:
        ``None`` where it is taken, or reserved by another instance.
    """
    # An abstract name belongs to the same network namespace as the port, and ends with its process.
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0callcluster-port-{port}")
    except OSError:
        claim.close()
        return None
    if is_free(port):
        return claim
    claim.close()
    return None


def pick() -> int:
    """A port of the loopback address that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
