"""What is made of coturn's output."""

from __future__ import annotations

import pytest
from callcluster_turn.coturn_log import (
    Allocated,
    Event,
    Fatal,
    Listening,
    Note,
    Reader,
    Refused,
    Trouble,
    Usage,
)

USER = "1795360774:k1.0123456789abcdef"
LISTENING_LINE = "0: : IPv4. UDP listener opened on: 127.0.0.1:3478\n"
SESSION = f"28: : session 001000000000000003: realm <calls.example> user <{USER}>: "


def listening() -> Reader:
    reader = Reader()
    assert reader.feed(LISTENING_LINE.encode()) == [Listening()]
    return reader


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (SESSION + "incoming packet message processed, error 401: Unauthorized", Refused("401")),
        (SESSION + "incoming packet message processed, error 508: Cannot create socket", Refused("508")),
        (SESSION + "incoming packet ALLOCATE processed, success", Allocated()),
        (
            f"58: : session 1: usage: realm=<r>, username=<{USER}>, rp=9, rb=848, sp=7, sb=2204",
            Usage("client", 9, 848, 7, 2204),
        ),
        (
            f"58: : session 1: peer usage: realm=<r>, username=<{USER}>, rp=13, rb=2637, sp=14, sb=2562",
            Usage("peer", 13, 2637, 14, 2562),
        ),
        (
            "28: : ERROR: A peer IP 10.0.0.1 denied in the range: 10.0.0.0-10.255.255.255",
            Trouble("peer-denied"),
        ),
        (f"4: : ERROR: check_stun_auth: Cannot find credentials of user <{USER}>", Trouble("credentials")),
        ("4: : ERROR: something new about 198.51.100.7", Trouble("other")),
        ("2026-11-22T15:11:15.011+0000 WARNING Cannot bind local socket to addr", Trouble("bind")),
    ],
)
def test_a_line_becomes_an_event(line: str, event: Event) -> None:
    assert listening().feed(f"{line}\n".encode()) == [event]


@pytest.mark.parametrize(
    "line",
    [
        SESSION + "incoming packet CREATE_PERMISSION processed, success",
        # The same error comes once more, as that of a "message".
        SESSION + "incoming packet ALLOCATE processed, error 508: Cannot create socket",
        "28: : IPv4. Local relay addr: 127.0.0.1:21062",
        "28: : session 000000000000000001: peer 198.51.100.7 lifetime updated: 300",
        "",
        "\0\xff",
    ],
)
def test_other_lines_are_dropped(line: str) -> None:
    assert listening().feed(f"{line}\n".encode()) == []


@pytest.mark.parametrize(
    "line",
    [
        "0: : WARNING: Bad configuration format: no-such-option",
        "0: : ERROR: Wrong address format: 10.0.0.0/8",
        "CONFIG ERROR: allow_loopback_peers and empty cli password cannot be used together.",
    ],
)
def test_a_configuration_that_is_not_accepted_is_fatal(line: str) -> None:
    assert Reader().feed(f"{line}\n".encode()) == [Fatal(line)]


def test_once_it_listens_no_line_is_fatal_or_shown() -> None:
    """A client chooses its user name, and so part of the lines."""
    reader = listening()

    events = reader.feed(
        b"4: : ERROR: credentials of user <x\nWrong address format: 198.51.100.7\nCONFIG ERROR\n"
    )

    assert not [event for event in events if isinstance(event, Fatal | Note)]


def test_lines_from_before_it_listens_are_noted() -> None:
    line = "turnserver: error while loading shared libraries: libevent.so"

    assert Reader().feed(f"{line}\n".encode()) == [Note(line)]


def test_lines_arrive_in_pieces() -> None:
    reader = listening()
    line = (SESSION + "incoming packet ALLOCATE processed, success\n").encode()

    events = [event for byte in line for event in reader.feed(bytes([byte]))]

    assert events == [Allocated()]


def test_a_line_without_an_end_is_forgotten() -> None:
    reader = listening()
    for _ in range(100):
        assert reader.feed(b"x" * 1000) == []

    assert reader.feed(b"\n" + SESSION.encode() + b"incoming packet ALLOCATE processed, success\n") == [
        Allocated()
    ]


def test_numbers_that_coturn_never_prints_are_not_read() -> None:
    forged = "9999999999:x\n1: : session 1: usage: a, rp={}, rb=1, sp=1, sb=1\n".format("9" * 400)
    assert listening().feed(forged.encode()) == []


def test_an_error_code_that_stun_does_not_have_is_not_counted() -> None:
    assert listening().feed(f"{SESSION}incoming packet message processed, error 999: x\n".encode()) == []
