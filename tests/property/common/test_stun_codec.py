"""The codec takes what it made, and survives what anybody else made."""

from __future__ import annotations

import ipaddress

from callcluster_common import stun
from callcluster_common.stun import Attribute, Kind, Message, STUNError
from hypothesis import given, settings
from hypothesis import strategies as st

ATTRIBUTES = st.lists(
    st.tuples(
        st.integers(0, 0xFFFF).filter(
            lambda a: a not in (Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT)
        ),
        st.binary(max_size=80),
    ),
    max_size=6,
).map(tuple)
MESSAGES = st.builds(
    Message, st.integers(0, 0xFFF), st.sampled_from(Kind), ATTRIBUTES, st.binary(min_size=12, max_size=12)
)


@settings(deadline=None)
@given(MESSAGES, st.none() | st.binary(min_size=1, max_size=40))
def test_what_was_encoded_is_parsed_the_same(message: Message, key: bytes | None) -> None:
    data = stun.encode(message, key)

    assert stun.parse(data) == message
    if key is not None:
        assert stun.is_authentic(data, key)
        assert not stun.is_authentic(data, key + b"x")


@settings(deadline=None)
@given(st.ip_addresses(), st.integers(0, 65535), st.binary(min_size=12, max_size=12))
def test_an_address_survives_its_mask(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, transaction: bytes
) -> None:
    value = stun.xor_address(address, port, transaction)
    message = Message(1, Kind.SUCCESS, ((Attribute.XOR_PEER_ADDRESS, value),), transaction)

    assert message.address(Attribute.XOR_PEER_ADDRESS) == (address, port)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    try:
        message = stun.parse(data)
    except STUNError:
        return
    assert stun.parse(stun.encode(message)) == message


@settings(deadline=None)
@given(MESSAGES, st.data())
def test_a_damaged_message_is_refused(message: Message, data: st.DataObject) -> None:
    encoded = bytearray(stun.encode(message))
    index = data.draw(st.integers(0, len(encoded) - 1))
    encoded[index] ^= data.draw(st.integers(1, 255))

    try:
        # Where the damage hides the fingerprint behind another type, the message may still be one.
        assert stun.parse(bytes(encoded)) != message
    except STUNError:
        pass


@settings(deadline=None)
@given(MESSAGES, st.data())
def test_a_cut_message_is_refused(message: Message, data: st.DataObject) -> None:
    encoded = stun.encode(message)
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]

    try:
        stun.parse(cut)
    except STUNError:
        return
    raise AssertionError("a cut message was read")
