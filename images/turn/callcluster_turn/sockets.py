"""Who holds which port: the kernel's socket tables, and a try to bind before coturn does.

coturn binds with SO_REUSEPORT, so a second server on the same port starts without an error and takes part
of the first one's packets. A foreign socket in the relay range makes coturn try port after port while all
media of that relay thread waits. Both have to be found from outside.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from callcluster_common.peer_policy import IPAddress

UDP_TABLES = (Path("/proc/net/udp"), Path("/proc/net/udp6"))


class PortTakenError(OSError):
    """A listener's port belongs to another program; the message says which one to free or move."""


@dataclass(frozen=True)
class Listener:
    """A port that coturn will listen on, and the setting that moves it."""

    protocol: str
    """``UDP`` or ``TCP``."""
    address: IPAddress
    port: int
    setting: str


@dataclass(frozen=True)
class UDPSocket:
    """One row of a socket table."""

    address: IPAddress
    port: int
    inode: int


def check_free(listeners: Iterable[Listener]) -> None:
    """Bind each port for a moment without sharing it.

    Raises:
        PortTakenError: another program has it, or the address is not this machine's.
    """
    for listener in listeners:
        kind = socket.SOCK_DGRAM if listener.protocol == "UDP" else socket.SOCK_STREAM
        family = socket.AF_INET if listener.address.version == 4 else socket.AF_INET6
        with socket.socket(family, kind) as probe:
            try:
                if kind is socket.SOCK_STREAM:
                    # Passes over connections in TIME_WAIT, not over a listener.
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((str(listener.address), listener.port))
                if kind is socket.SOCK_STREAM:
                    probe.listen()
            except OSError as error:
                raise PortTakenError(
                    f"{listener.protocol} port {listener.port} on {listener.address} can't be had "
                    f"({error.strerror}): stop the program that holds it or set {listener.setting}"
                ) from None


def free_loopback_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def parse_table(text: str) -> list[UDPSocket]:
    """Rows of ``/proc/net/udp`` or ``/proc/net/udp6``."""
    rows = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        address, _, port = fields[1].partition(":")
        rows.append(UDPSocket(_kernel_address(address), int(port, 16), int(fields[9])))
    return rows


def _kernel_address(text: str) -> IPAddress:
    """Addresses stand there as 32-bit words in the machine's byte order."""
    words = [int(text[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(text), 8)]
    return ip_address(b"".join(words))


def udp_sockets() -> list[UDPSocket]:
    """All UDP sockets of this network namespace."""
    rows = []
    for table in UDP_TABLES:
        if table.exists():
            rows += parse_table(table.read_text())
    return rows


def inodes_of(pid: int) -> frozenset[int]:
    """Sockets that a process holds; empty where it is gone."""
    found = set()
    try:
        descriptors = list(os.scandir(f"/proc/{pid}/fd"))
    except OSError:
        return frozenset()
    for descriptor in descriptors:
        try:
            target = os.readlink(descriptor.path)
        except OSError:
            continue  # closed in the meantime
        if target.startswith("socket:["):
            found.add(int(target[8:-1]))
    return frozenset(found)


@dataclass(frozen=True)
class Occupancy:
    """Who holds the ports of one TURN server."""

    allocations: int = 0
    """Relay ports in use by coturn."""
    foreign_relay: int = 0
    """Relay ports that another program holds."""
    foreign_listeners: int = 0
    """Sockets of other programs on coturn's UDP listener."""


def occupancy(
    rows: Iterable[UDPSocket],
    own: frozenset[int],
    *,
    relay_ip: IPAddress,
    relay_ports: range,
    listening_ip: IPAddress,
    listening_port: int,
    probe_ports: frozenset[int],
) -> Occupancy:
    """Sort the table's rows into coturn's own (by inode) and others that stand in its way.

    Relay ports of coturn's that self-checks used, ``probe_ports``, are no allocations.
    """
    allocations = foreign_relay = foreign_listeners = 0
    for row in rows:
        if row.port in relay_ports and _meets(row.address, relay_ip):
            if row.inode in own:
                allocations += row.port not in probe_ports
            else:
                foreign_relay += 1
        elif row.port == listening_port and _meets(row.address, listening_ip):
            foreign_listeners += row.inode not in own
    return Occupancy(allocations, foreign_relay, foreign_listeners)


def _meets(bound: IPAddress, wanted: IPAddress) -> bool:
    """Whether a socket bound to ``bound`` keeps others from ``wanted``: the same address or a wildcard."""
    return bound == wanted or (bound.is_unspecified and (bound.version == 6 or wanted.version == 4))
