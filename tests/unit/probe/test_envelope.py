import pytest
from callcluster_probe.e2ee.bundle import Identity, verify
from callcluster_probe.e2ee.encode import CryptoError, b64, unb64
from callcluster_probe.e2ee.envelope import SIZE, MediaKey, open_, seal
from callcluster_probe.e2ee.room_secret import RoomSecret

NOW = 1_800_000_000.0
SECRET = RoomSecret("team", bytes(range(32)))
ALICE, BOB, EVE = Identity(), Identity(), Identity()
KEY = MediaKey(kid=0x1234_05, base=bytes(range(64)), seq=7)


def peer(identity, sid, secret=SECRET):
    return verify(identity.bundle("team", sid, NOW, secret), "team", sid, NOW, secret)


def sealed(secret=SECRET):
    return seal(ALICE, "team", "alice-01", peer(BOB, "bob-0001", secret), KEY, 1_800_000_000_000, secret)


def opened(body, *, identity=BOB, room="team", to="bob-0001", last_seq=6, secret=SECRET):
    return open_(identity, room, peer(ALICE, "alice-01", secret), to, body, last_seq, secret)


@pytest.mark.parametrize("secret", [SECRET, None])
def test_the_recipient_gets_the_key(secret):
    body = sealed(secret)
    assert len(unb64(body)) == SIZE == 202
    assert opened(body, secret=secret) == KEY


def test_an_envelope_without_psk_is_refused_where_the_room_has_a_secret():
    with pytest.raises(CryptoError, match="wrong mode"):
        opened(sealed(None))


def test_it_opens_once():
    with pytest.raises(CryptoError, match="came before"):
        opened(sealed(), last_seq=7)


def test_it_opens_for_its_recipient_alone():
    with pytest.raises(CryptoError, match="does not open"):
        opened(sealed(), identity=EVE)
    with pytest.raises(CryptoError, match="signature"):
        opened(sealed(), to="eve-0001")


def test_it_opens_in_its_room_alone():
    with pytest.raises(CryptoError, match="signature"):
        opened(sealed(), room="other")


def test_an_untrusted_sender_is_refused():
    with pytest.raises(CryptoError, match="not trusted"):
        open_(BOB, "team", None, "bob-0001", sealed(), 0, SECRET)


def test_another_sender_cannot_claim_it():
    with pytest.raises(CryptoError, match="signature"):
        open_(BOB, "team", peer(EVE, "alice-01"), "bob-0001", sealed(), 0, SECRET)


@pytest.mark.parametrize("body", ["", "AA", b64(bytes(202)), b64(b"\x02" + bytes(201)), "!" * 270])
def test_noise_is_refused(body):
    with pytest.raises(CryptoError):
        opened(body)
