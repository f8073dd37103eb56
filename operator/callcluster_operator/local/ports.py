"""Ports of this machine: which are free, and who holds those that are not."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

LOOPBACK = "127.0.0.1"
_TYPES = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}


class PortBusyError(Exception):
    """Another program holds a port that is needed."""

    reason: ClassVar[str] = "PortBusy"

    def __init__(self, port: int, protocol: str) -> None:
        super().__init__(f"port {port} ({protocol}) is in use by another program")
        self.port = port


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
        PortBusyError: one is taken.
    """
    for port in ports:
        protocol = port.get("protocol", "TCP")
        if not is_free(port["containerPort"], protocol):
            raise PortBusyError(port["containerPort"], protocol)


def pick() -> int:
    """A port of the loopback address that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
