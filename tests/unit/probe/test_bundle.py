import msgspec
import pytest
from callcluster_probe.e2ee.bundle import LIFETIME_S, Identity, verify
from callcluster_probe.e2ee.encode import CryptoError
from callcluster_probe.e2ee.room_secret import RoomSecret

NOW = 1_800_000_000.0
SECRET = RoomSecret("team", bytes(32))
BUNDLE = Identity().bundle("team", "session-1", NOW, SECRET)


def test_a_bundle_verifies_for_its_room_and_session():
    peer = verify(BUNDLE, "team", "session-1", NOW, SECRET)
    assert peer.sid == "session-1"


def test_a_member_whose_clock_is_two_minutes_behind_accepts_it():
    verify(BUNDLE, "team", "session-1", NOW - 120, SECRET)


@pytest.mark.parametrize(
    ("room", "sid", "now", "why"),
    [
        ("other", "session-1", NOW, "signature"),
        ("team", "session-2", NOW, "signature"),
        ("team", "session-1", NOW + LIFETIME_S, "not valid now"),
        ("team", "session-1", NOW - 7200, "not valid now"),
    ],
)
def test_elsewhere_or_at_another_time_it_is_worthless(room, sid, now, why):
    with pytest.raises(CryptoError, match=why):
        verify(BUNDLE, room, sid, now, SECRET)


def test_a_bundle_that_lives_longer_than_a_day_is_refused():
    with pytest.raises(CryptoError, match="too long"):
        verify(msgspec.structs.replace(BUNDLE, nbf=BUNDLE.nbf - 1), "team", "session-1", NOW, SECRET)


@pytest.mark.parametrize("maker", [None, RoomSecret("team", bytes(31) + b"\x01")])
def test_in_a_room_with_a_secret_a_member_without_it_is_refused(maker):
    stranger = Identity().bundle("team", "session-1", NOW, maker)
    with pytest.raises(CryptoError, match="without the room secret"):
        verify(stranger, "team", "session-1", NOW, SECRET)


def test_in_a_room_without_a_secret_the_signature_is_enough():
    plain = Identity().bundle("team", "session-1", NOW, None)
    assert plain.mac is None
    verify(plain, "team", "session-1", NOW, None)
