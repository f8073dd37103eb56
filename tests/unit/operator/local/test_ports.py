"""Ports of this machine: which are taken, and what is said of that."""

from __future__ import annotations

import socket

import pytest
from callcluster_operator.local.ports import LOOPBACK, PortBusyError, require_free, reserve


def taken(kind: socket.SocketKind) -> socket.socket:
    """A socket that holds a port."""
    made = socket.socket(type=kind)
    made.bind((LOOPBACK, 0))
    if kind is socket.SOCK_STREAM:
        made.listen()
    return made


def test_one_busy_port_is_named() -> None:
    with taken(socket.SOCK_DGRAM) as udp:
        number = udp.getsockname()[1]
        with pytest.raises(PortBusyError) as told:
            require_free([{"containerPort": number, "protocol": "UDP"}])
    assert str(told.value) == f"port {number} (UDP) is in use by another program"
    require_free([{"containerPort": number, "protocol": "UDP"}])


def test_all_busy_ports_are_named() -> None:
    with taken(socket.SOCK_DGRAM) as udp, taken(socket.SOCK_STREAM) as tcp:
        one, other = udp.getsockname()[1], tcp.getsockname()[1]
        with pytest.raises(PortBusyError) as told:
            require_free([{"containerPort": one, "protocol": "UDP"}, {"containerPort": other}])
    assert str(told.value) == f"ports {one} (UDP) and {other} (TCP) are in use by another program"


def test_three_busy_ports_are_a_list() -> None:
    said = str(PortBusyError([(3478, "UDP"), (3478, "TCP"), (9600, "TCP")]))
    assert said == "ports 3478 (UDP), 3478 (TCP) and 9600 (TCP) are in use by another program"


def test_a_reserved_port_is_no_other_instances_before_anything_listens_there() -> None:
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        number = server.getsockname()[1]
        assert reserve(number) is None
    first = reserve(number)
    assert first is not None
    assert reserve(number) is None
    first.close()
    again = reserve(number)
    assert again is not None
    again.close()
