"""STUN messages against the test vectors of RFC 5769."""

from __future__ import annotations

import ipaddress

import pytest
from callcluster_common import stun
from callcluster_common.stun import Attribute, Kind, Message, Method, STUNError

SHORT_TERM_KEY = b"VOkJxbRl1RmTxUk/WvJxBt"

IPV4_RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
IPV6_RESPONSE = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)
LONG_TERM_REQUEST = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e"
    "00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)


@pytest.mark.parametrize(
    ("data", "address"),
    [(IPV4_RESPONSE, "192.0.2.1"), (IPV6_RESPONSE, "2001:db8:1234:5678:11:2233:4455:6677")],
)
def test_a_response_of_the_rfc_is_read_with_its_address(data: bytes, address: str) -> None:
    message = stun.parse(data)

    assert (message.method, message.kind) == (Method.BINDING, Kind.SUCCESS)
    assert message.address(Attribute.XOR_MAPPED_ADDRESS) == (ipaddress.ip_address(address), 32853)
    assert stun.is_authentic(data, SHORT_TERM_KEY)
    assert not stun.is_authentic(data, b"another key")


def test_the_long_term_request_of_the_rfc_is_authentic() -> None:
    message = stun.parse(LONG_TERM_REQUEST)
    username = (message.get(Attribute.USERNAME) or b"").decode()

    assert username == "マトリックス"
    assert stun.is_authentic(LONG_TERM_REQUEST, stun.long_term_key(username, "example.org", "TheMatrIX"))


def test_a_message_without_integrity_is_not_authentic() -> None:
    assert not stun.is_authentic(stun.encode(Message(Method.BINDING, Kind.REQUEST)), b"key")


def test_a_changed_byte_breaks_the_fingerprint() -> None:
    for index in (0, 9, 30, len(IPV4_RESPONSE) - 1):
        changed = bytearray(IPV4_RESPONSE)
        changed[index] ^= 1
        with pytest.raises(STUNError):
            stun.parse(bytes(changed))


@pytest.mark.parametrize(
    ("value", "code"),
    [(b"\0\0\4\1", 401), (b"\0\0\5\x08No ports", 508), (b"\0\0\3\0", 300), (b"\0\0\6\x63", 699)],
)
def test_an_error_response_tells_its_code(value: bytes, code: int) -> None:
    message = Message(Method.ALLOCATE, Kind.ERROR, ((Attribute.ERROR_CODE, value),))

    assert stun.parse(stun.encode(message)).error == code


@pytest.mark.parametrize("value", [b"", b"\0\0\4", b"\0\0\2\0", b"\0\0\7\0", b"\0\0\4\x64"])
def test_an_error_response_with_a_malformed_code_is_refused(value: bytes) -> None:
    message = Message(Method.ALLOCATE, Kind.ERROR, ((Attribute.ERROR_CODE, value),))

    with pytest.raises(STUNError):
        _ = message.error


def test_an_error_response_without_a_code_is_refused() -> None:
    with pytest.raises(STUNError):
        _ = Message(Method.ALLOCATE, Kind.ERROR).error


@pytest.mark.parametrize("value", [b"", bytes(7), b"\0\2" + bytes(6), b"\0\1" + bytes(18)])
def test_a_malformed_address_is_refused(value: bytes) -> None:
    with pytest.raises(STUNError):
        Message(Method.BINDING, Kind.SUCCESS, ((Attribute.XOR_MAPPED_ADDRESS, value),)).address(
            Attribute.XOR_MAPPED_ADDRESS
        )


def test_the_first_of_two_equal_attributes_counts() -> None:
    message = Message(
        Method.BINDING, Kind.SUCCESS, ((Attribute.REALM, b"first"), (Attribute.REALM, b"second"))
    )

    assert message.get(Attribute.REALM) == b"first"
