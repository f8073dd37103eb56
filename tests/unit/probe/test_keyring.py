import pytest
from callcluster_probe.e2ee.encode import CryptoError
from callcluster_probe.e2ee.frames import metadata
from callcluster_probe.e2ee.keyring import MAX_RATCHET, OLD_KEY_S, WINDOW, Keyring, UnknownKey
from callcluster_probe.e2ee.sframe import FrameKey, key_id, new_base_key, ratchet

SID = "sender-1"


class Sender:
    """Seals without any rule, as an attacker may."""

    def __init__(self, generation=1, step=0, base=None):
        self.base = base or new_base_key()
        self.generation, self.at = generation, step

    def step(self, count=1):
        for _ in range(count):
            self.base, self.at = ratchet(self.base), self.at + 1
        return self

    @property
    def kid(self):
        return key_id(self.generation, self.at)

    def frame(self, counter, plain=b"opus", source="mic"):
        return FrameKey(self.kid, self.base).seal(counter, metadata(SID, source, b""), plain)


def ring_with(sender, now=0.0):
    ring = Keyring(SID)
    ring.install(sender.kid, sender.base, now)
    return ring


def test_a_frame_opens_once():
    sender = Sender()
    ring = ring_with(sender)
    assert ring.open("mic", sender.frame(0), 0) == b"opus"
    with pytest.raises(CryptoError, match="came before"):
        ring.open("mic", sender.frame(0), 0)


def test_frames_within_the_window_may_come_in_any_order_and_older_ones_not():
    sender = Sender()
    ring = ring_with(sender)
    ring.open("mic", sender.frame(WINDOW), 0)
    ring.open("mic", sender.frame(1), 0)
    with pytest.raises(CryptoError, match="too late"):
        ring.open("mic", sender.frame(0), 0)


def test_a_frame_that_does_not_open_uses_up_no_counter():
    sender = Sender()
    ring = ring_with(sender)
    broken = bytearray(sender.frame(5))
    broken[-1] ^= 1
    with pytest.raises(CryptoError, match="does not open"):
        ring.open("mic", bytes(broken), 0)
    assert ring.open("mic", sender.frame(5), 0) == b"opus"


def test_a_frame_moved_to_another_track_or_member_does_not_open():
    sender = Sender()
    with pytest.raises(CryptoError):
        ring_with(sender).open("cam", b"\x01ab" + sender.frame(0, source="mic"), 0)
    other = Keyring("sender-2")
    other.install(sender.kid, sender.base, 0)
    with pytest.raises(CryptoError, match="does not open"):
        other.open("mic", sender.frame(0), 0)


def test_an_unknown_generation_is_a_reason_to_ask():
    with pytest.raises(UnknownKey) as unknown:
        ring_with(Sender(generation=1)).open("mic", Sender(generation=2).frame(0), 0)
    assert unknown.value.kid == key_id(2, 0)
    assert unknown.value.early


def test_a_frame_of_a_key_that_was_there_once_is_not_early():
    old, new = Sender(generation=1), Sender(generation=2)
    ring = ring_with(old)
    ring.install(new.kid, new.base, 0)
    with pytest.raises(UnknownKey) as unknown:
        ring.open("mic", old.frame(0), OLD_KEY_S + 1)
    assert not unknown.value.early


@pytest.mark.parametrize("steps", [1, MAX_RATCHET])
def test_a_later_step_is_reached_by_ratcheting(steps):
    sender = Sender()
    ring = ring_with(sender)
    assert ring.open("mic", sender.step(steps).frame(0), 0) == b"opus"


def test_a_step_too_far_ahead_is_refused():
    sender = Sender()
    ring = ring_with(sender)
    with pytest.raises(UnknownKey):
        ring.open("mic", sender.step(MAX_RATCHET + 1).frame(0), 0)


def test_a_forged_later_step_moves_nothing():
    sender = Sender()
    ring = ring_with(sender)
    with pytest.raises(CryptoError, match="does not open"):
        ring.open("mic", Sender(generation=1, step=9).frame(0), 0)
    assert ring.open("mic", sender.frame(0), OLD_KEY_S + 1) == b"opus"


def test_who_joined_at_a_step_cannot_open_the_steps_before():
    sender = Sender()
    past = sender.frame(0)
    ring = ring_with(sender.step())
    with pytest.raises(UnknownKey):
        ring.open("mic", past, 0)


def test_the_old_key_opens_stragglers_for_ten_seconds():
    old, new = Sender(generation=1), Sender(generation=2)
    ring = ring_with(old)
    ring.install(new.kid, new.base, 100)
    assert ring.open("mic", old.frame(0), 100 + OLD_KEY_S) == b"opus"
    with pytest.raises(UnknownKey):
        ring.open("mic", old.frame(1), 100 + OLD_KEY_S + 0.1)
    assert ring.open("mic", new.frame(0), 200) == b"opus"


def test_a_key_sent_again_resets_no_window():
    sender = Sender()
    ring = ring_with(sender)
    ring.open("mic", sender.frame(0), 0)
    ring.install(sender.kid, sender.base, 0)
    with pytest.raises(CryptoError, match="came before"):
        ring.open("mic", sender.frame(0), 0)


def test_a_key_that_comes_back_opens_nothing_twice():
    old, new = Sender(generation=1), Sender(generation=2)
    ring = ring_with(old)
    ring.open("mic", old.frame(0), 0)
    ring.install(new.kid, new.base, 100)
    ring.open("mic", new.frame(0), 101 + OLD_KEY_S)
    ring.install(old.kid, old.base, 102 + OLD_KEY_S)
    with pytest.raises(CryptoError, match="came before"):
        ring.open("mic", old.frame(0), 102 + OLD_KEY_S)


def test_who_left_has_no_keys_and_keeps_its_windows():
    sender = Sender()
    ring = ring_with(sender)
    ring.open("mic", sender.frame(0), 0)
    ring.forget()
    with pytest.raises(UnknownKey):
        ring.open("mic", sender.frame(1), 0)
    ring.install(sender.kid, sender.base, 0)
    with pytest.raises(CryptoError, match="came before"):
        ring.open("mic", sender.frame(0), 0)
    assert ring.open("mic", sender.frame(1), 0) == b"opus"


def test_a_key_id_beyond_sixteen_bits_of_generation_is_refused():
    with pytest.raises(CryptoError, match="out of range"):
        Keyring(SID).install(1 << 24, new_base_key(), 0)


@pytest.mark.parametrize("source", ["mic", "cam"])
@pytest.mark.parametrize(
    "frame", [b"", b"\x00", b"\x01\x02", b"\x00" * 10, b"\xff" * 3, b"\x01\x02\x03\x8f"]
)
def test_noise_is_refused(source, frame):
    with pytest.raises(CryptoError):
        ring_with(Sender()).open(source, frame, 0)
