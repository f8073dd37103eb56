"""What a server and a member that left can try together, as in tests/unit/web/hostile_server.test.mjs."""

from __future__ import annotations

import pytest
from callcluster_common.messages.client import KeyRequest
from callcluster_probe.e2ee.encode import CryptoError
from callcluster_probe.e2ee.frames import metadata
from callcluster_probe.e2ee.keyring import OLD_KEY_S, OUTDATED_S, Keyring, UnknownKey
from callcluster_probe.e2ee.keys import CallKeys
from callcluster_probe.e2ee.sframe import FrameKey, key_id, new_base_key, ratchet
from kit.probe_room import Room

SENDER = "alice-01"


def sealed(base: bytes, generation: int, step: int, counter: int) -> bytes:
    """As anyone can seal who holds the key, whoever it belongs to."""
    return FrameKey(key_id(generation, step), base).seal(counter, metadata(SENDER, "mic", b""), b"x")


def said(keys: CallKeys, plain: bytes) -> bytes:
    frame = keys.seal("mic", plain)
    assert frame is not None
    return frame


def test_who_left_cannot_make_a_later_step_live_longer_than_the_key_that_it_had() -> None:
    ring, old, new = Keyring(SENDER), new_base_key(), new_base_key()
    ring.install(key_id(1, 0), old, 0)
    ring.install(key_id(2, 0), new, 5)
    assert ring.open("mic", sealed(ratchet(old), 1, 1, 0), 6) == b"x"
    late = 5 + OLD_KEY_S + 0.1
    with pytest.raises(UnknownKey):
        ring.open("mic", sealed(ratchet(old), 1, 1, 1), late)
    assert ring.open("mic", sealed(new, 2, 0, 0), late + OLD_KEY_S) == b"x"


def test_an_outdated_key_ends_though_no_new_one_comes() -> None:
    ring, base = Keyring(SENDER), new_base_key()
    ring.install(key_id(1, 0), base, 0)
    ring.outdate(5)
    assert ring.open("mic", sealed(base, 1, 0, 0), 5 + OUTDATED_S) == b"x"
    with pytest.raises(CryptoError):
        ring.open("mic", sealed(base, 1, 0, 1), 5 + OUTDATED_S + 0.1)


def test_a_sender_may_vouch_for_an_outdated_key_for_a_while() -> None:
    ring, base = Keyring(SENDER), new_base_key()
    ring.install(key_id(1, 0), base, 0)
    ring.outdate(5)
    ring.install(key_id(1, 0), base, 10)
    assert ring.open("mic", sealed(base, 1, 0, 0), 10 + OUTDATED_S) == b"x"
    assert ring.open("mic", sealed(ratchet(base), 1, 1, 0), 10 + OUTDATED_S) == b"x"
    for step, key in ((0, base), (1, ratchet(base))):
        with pytest.raises(CryptoError):
            ring.open("mic", sealed(key, 1, step, 9), 10 + OUTDATED_S + 0.1)


def test_who_left_cannot_speak_as_one_who_stays_though_a_server_withholds_the_new_key() -> None:
    room = Room()
    alice, bob, eve = room.join(SENDER), room.join("bob-0001"), room.join("eve-0001")
    room.tick(2)
    room.lost = {"bob-0001"}
    room.leave("eve-0001", now=10)
    held = alice.own._current
    assert held is not None
    for second in range(11, 30):
        forged = held.frame_key.seal(1000 + second, metadata(SENDER, "mic", b""), b"x")
        room.tick(second)
        heard = bob.open(SENDER, "mic", forged, second)
        assert (heard is not None) == (second <= 10 + OUTDATED_S)
    assert sum(frame.to.sid == SENDER for frame in room.sent(KeyRequest)) > 3
    room.lost = set()
    room.tick(31)
    assert bob.open(SENDER, "mic", said(alice, b"again"), 31) == b"again"
    assert eve.open(SENDER, "mic", said(alice, b"not for eve"), 31) is None


def test_a_key_that_came_just_before_the_news_of_a_leave_stays_in_use() -> None:
    room = Room()
    alice, bob, _ = room.join(SENDER), room.join("bob-0001"), room.join("eve-0001")
    alice.left("eve-0001", "kicked", 10)
    room.carry(10)
    bob.left("eve-0001", "kicked", 10)
    del room.keys["eve-0001"]
    for second in range(11, 60):
        room.tick(second)
        assert bob.open(SENDER, "mic", said(alice, b"on"), second) == b"on"
