"""What must hold for every input: round trips, tampering, replay, nonces, secrecy of the past."""

import pytest
from callcluster_probe.e2ee.bundle import Identity, verify
from callcluster_probe.e2ee.encode import CryptoError, b64, labelled, unb64
from callcluster_probe.e2ee.envelope import SIZE, MediaKey, open_, seal
from callcluster_probe.e2ee.frames import SOURCES, clear_bytes
from callcluster_probe.e2ee.keyring import WINDOW, Keyring, ReplayWindow
from callcluster_probe.e2ee.room_secret import RoomSecret
from callcluster_probe.e2ee.sender_keys import SenderKeys
from callcluster_probe.e2ee.sframe import FrameKey, decode_header, encode_header, new_base_key, split_key_id
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_800_000_000.0
SECRET = RoomSecret("team", bytes(range(32)))
ALICE, BOB = Identity(), Identity()
ALICE_PEER = verify(ALICE.bundle("team", "alice-01", NOW, SECRET), "team", "alice-01", NOW, SECRET)
BOB_PEER = verify(BOB.bundle("team", "bob-0001", NOW, SECRET), "team", "bob-0001", NOW, SECRET)

numbers = st.integers(0, 2**64 - 1)
fields = st.lists(st.one_of(st.binary(max_size=40), st.text(max_size=20), numbers), max_size=5)
sources = st.sampled_from(SOURCES)
frames = st.binary(min_size=11, max_size=200)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=10))
JSON = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3))


def flip(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(st.binary(max_size=300))
def test_base64url_round_trips(raw):
    assert unb64(b64(raw)) == raw


@given(st.text(max_size=40))
def test_base64url_takes_one_spelling_only(text):
    try:
        raw = unb64(text)
    except CryptoError:
        return
    assert b64(raw) == text


@given(fields, fields)
def test_labelled_bytes_never_collide(one, other):
    def as_bytes(items):
        return [
            i.to_bytes(8, "big") if isinstance(i, int) else i.encode() if isinstance(i, str) else i
            for i in items
        ]

    assert (labelled("a", *one) == labelled("a", *other)) == (as_bytes(one) == as_bytes(other))


@given(numbers, numbers)
def test_frame_headers_round_trip(kid, counter):
    header = encode_header(kid, counter)
    assert decode_header(header + b"rest") == (kid, counter, len(header))


@given(st.lists(st.tuples(sources, frames), min_size=1, max_size=20))
def test_what_a_sender_seals_its_receivers_open(items):
    sender, ring = SenderKeys("alice-01"), Keyring("alice-01")
    sender.renew(0, [])
    ring.install(*sender.newest, 0)
    for source, frame in items:
        sealed = sender.seal(source, frame)
        assert sealed[: clear_bytes(source, frame)] == frame[: clear_bytes(source, frame)]
        assert ring.open(source, sealed, 0) == frame


@given(sources, frames, st.integers(0, 10**6))
def test_any_flipped_bit_of_a_frame_is_noticed(source, frame, bit):
    sender, ring = SenderKeys("alice-01"), Keyring("alice-01")
    sender.renew(0, [])
    ring.install(*sender.newest, 0)
    sealed = sender.seal(source, frame)
    with pytest.raises(CryptoError):
        ring.open(source, flip(sealed, bit % (len(sealed) * 8)), 0)


@given(st.binary(max_size=60))
def test_noise_never_opens(noise):
    ring = Keyring("alice-01")
    ring.install(0x100, new_base_key(), 0)
    for source in SOURCES:
        with pytest.raises(CryptoError):
            ring.open(source, noise, 0)


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=60))
def test_no_counter_is_accepted_twice_nor_far_behind(counters):
    window, accepted = ReplayWindow(), set()
    for counter in counters:
        fresh = window.fresh(counter)
        expected = counter not in accepted and (not accepted or counter > max(accepted) - WINDOW)
        assert fresh == expected
        if fresh:
            window.accept(counter)
            accepted.add(counter)


@given(st.lists(st.sampled_from(["frame", "join", "renew", "leave", "second"]), max_size=60))
def test_no_nonce_is_ever_used_twice(events):
    sender, now, nonces = SenderKeys("alice-01"), 0.0, set()
    sender.renew(now, ["bob-0001"])
    for n, event in enumerate(events):
        if event == "frame":
            sealed = sender.seal("mic", b"x")
            if sealed:
                kid, counter, _ = decode_header(sealed)
                assert (kid, counter) not in nonces
                nonces.add((kid, counter))
        elif event == "join":
            if not sender.step(now, f"guest-{n}"):
                sender.renew(now, [])
        elif event == "renew":
            sender.renew(now, ["bob-0001"])
        elif event == "leave":
            sender.renew_soon(now)
        else:
            now += 1.0
            if sender.due(now):
                sender.renew(now, [])
            sender.tick(now)


@given(st.integers(0, 5), st.integers(1, 5))
def test_who_got_a_later_step_opens_no_earlier_frame(before, after):
    sender = SenderKeys("alice-01")
    sender.renew(0, [])
    for n in range(before):
        sender.step(0, f"early-{n}")
        sender.tick(5)
    past = sender.seal("mic", b"past")
    for n in range(after):
        sender.step(0, f"late-{n}")
    joiner = Keyring("alice-01")
    joiner.install(*sender.newest, 0)
    with pytest.raises(CryptoError):
        joiner.open("mic", past, 0)
    sender.tick(5)
    assert joiner.open("mic", sender.seal("mic", b"now"), 0) == b"now"


@given(st.binary(min_size=64, max_size=64), st.integers(0, 2**24 - 1), st.integers(1, 2**63))
def test_envelopes_round_trip(base, kid, seq):
    key = MediaKey(kid, base, seq)
    body = seal(ALICE, "team", "alice-01", BOB_PEER, key, 1, SECRET)
    assert open_(BOB, "team", ALICE_PEER, "bob-0001", body, seq - 1, SECRET) == key


ENVELOPE = unb64(seal(ALICE, "team", "alice-01", BOB_PEER, MediaKey(256, bytes(64), 1), 1, SECRET))


@given(st.integers(0, SIZE * 8 - 1))
def test_any_flipped_bit_of_an_envelope_is_noticed(bit):
    with pytest.raises(CryptoError):
        open_(BOB, "team", ALICE_PEER, "bob-0001", b64(flip(ENVELOPE, bit)), 0, SECRET)


@given(st.integers(0, 32 * 8 - 1))
def test_one_wrong_bit_of_the_room_secret_opens_no_envelope(bit):
    near = RoomSecret("team", flip(bytes(range(32)), bit))
    with pytest.raises(CryptoError, match="does not open"):
        open_(BOB, "team", ALICE_PEER, "bob-0001", b64(ENVELOPE), 0, near)


@given(st.text(max_size=100))
def test_names_open_for_their_member_alone(name):
    meta = SECRET.seal_name("alice-01", name)
    assert SECRET.open_name("alice-01", meta) == name
    with pytest.raises(CryptoError):
        SECRET.open_name("bob-0001", meta)
    with pytest.raises(CryptoError):
        SECRET.open_message("alice-01", meta)


@given(JSON, st.integers(0, 10**6))
def test_messages_round_trip_and_any_flipped_bit_is_noticed(message, bit):
    body = SECRET.seal_message("alice-01", message)
    assert SECRET.open_message("alice-01", body) == message
    raw = unb64(body)
    with pytest.raises(CryptoError):
        SECRET.open_message("alice-01", b64(flip(raw, bit % (len(raw) * 8))))


@given(st.binary(min_size=64, max_size=64), st.integers(0, 2**24 - 1))
def test_keys_of_different_ids_differ(base, kid):
    one, other = FrameKey(kid, base), FrameKey(kid ^ 1, base)
    assert one.key != other.key
    assert one.salt != other.salt
    assert split_key_id(kid)[0] << 8 | split_key_id(kid)[1] == kid
