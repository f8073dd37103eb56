"""Who holds which port."""

from __future__ import annotations

import ipaddress
import os
import socket

import pytest
from callcluster_turn import sockets
from callcluster_turn.sockets import Listener, Occupancy, PortTakenError, UDPSocket

LOOPBACK = ipaddress.ip_address("127.0.0.1")
NODE = ipaddress.ip_address("10.0.0.5")


def udp_socket() -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    return bound


def test_a_socket_of_this_process_is_found_with_its_owner() -> None:
    with udp_socket() as bound:
        port = bound.getsockname()[1]
        inode = os.fstat(bound.fileno()).st_ino

        assert UDPSocket(LOOPBACK, port, inode) in sockets.udp_sockets()
        assert inode in sockets.inodes_of(os.getpid())


def test_a_process_that_is_gone_holds_nothing() -> None:
    assert sockets.inodes_of(2**30) == frozenset()


def test_ipv6_rows_are_read() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
        try:
            bound.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        port = bound.getsockname()[1]

        assert (ipaddress.ip_address("::1"), port) in {
            (row.address, row.port) for row in sockets.udp_sockets()
        }


def test_rows_are_sorted_into_own_and_foreign() -> None:
    any4, any6 = ipaddress.ip_address("0.0.0.0"), ipaddress.ip_address("::")
    rows = [
        UDPSocket(NODE, 20000, 1),
        UDPSocket(NODE, 20999, 2),
        UDPSocket(NODE, 20500, 4),  # of a self-check
        UDPSocket(NODE, 20001, 99),  # foreign
        UDPSocket(any4, 20002, 98),  # foreign: a wildcard stands in the way, too
        UDPSocket(any6, 20003, 97),  # foreign
        UDPSocket(LOOPBACK, 20004, 96),  # another address: not in the way
        UDPSocket(NODE, 21000, 95),  # beyond the slice
        UDPSocket(NODE, 3478, 3),
        UDPSocket(NODE, 3478, 94),  # a twin on the listener
    ]

    found = sockets.occupancy(
        rows,
        frozenset({1, 2, 3, 4}),
        relay_ip=NODE,
        relay_ports=range(20000, 21000),
        listening_ip=NODE,
        listening_port=3478,
        probe_ports=frozenset({20500}),
    )

    assert found == Occupancy(allocations=2, foreign_relay=3, foreign_listeners=1)


@pytest.mark.parametrize(("protocol", "kind"), [("UDP", socket.SOCK_DGRAM), ("TCP", socket.SOCK_STREAM)])
def test_a_taken_port_is_named_even_where_it_could_be_shared(
    protocol: str, kind: socket.SocketKind
) -> None:
    with socket.socket(socket.AF_INET, kind) as twin:
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        twin.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            twin.listen()
        port = twin.getsockname()[1]

        with pytest.raises(
            PortTakenError, match=f"{protocol} port {port} on 127.0.0.1 .* set LISTENING_PORT"
        ):
            sockets.check_free([Listener(protocol, LOOPBACK, port, "LISTENING_PORT")])

    sockets.check_free([Listener(protocol, LOOPBACK, port, "LISTENING_PORT")])


def test_an_address_of_another_machine_is_refused() -> None:
    elsewhere = ipaddress.ip_address("203.0.113.200")

    with pytest.raises(PortTakenError, match="Cannot assign requested address"):
        sockets.check_free([Listener("UDP", elsewhere, 3478, "LISTENING_PORT")])


def test_a_closed_connection_does_not_keep_the_port() -> None:
    """The server's side closes first, so its port stays in TIME_WAIT."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            assert client.recv(1) == b""

    sockets.check_free([Listener("TCP", LOOPBACK, port, "LISTENING_PORT")])
