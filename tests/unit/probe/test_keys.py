"""Rotation rules of docs/e2ee.md, section 4, played out between members without a network."""

import pytest
from callcluster_common.messages.client import KeyAck, KeyRequest, KeySend
from callcluster_common.messages.types import Member
from callcluster_probe.e2ee import sender_keys
from callcluster_probe.e2ee.bundle import Identity
from callcluster_probe.e2ee.keys import CallKeys
from callcluster_probe.e2ee.sframe import decode_header, split_key_id
from kit.probe_room import EPOCH, SECRET, Room, generation_and_step


@pytest.fixture
def room():
    return Room()


def test_two_members_hear_each_other_without_waiting(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    assert bob.open("alice-01", "mic", alice.seal("mic", b"hello"), 0) == b"hello"
    assert alice.open("bob-0001", "cam", bob.seal("cam", b"\x01\x02\x03video"), 0) == b"\x01\x02\x03video"


def test_a_join_ratchets_and_gives_the_step_to_the_newcomer_alone(room):
    alice, _ = room.join("alice-01"), room.join("bob-0001")
    generation, step = generation_and_step(alice)
    room.seen.clear()
    room.join("carol-01")
    assert generation_and_step(alice) == (generation, step + 1)
    envelopes = [
        e for sid, f in room.seen if sid == "alice-01" and isinstance(f, KeySend) for e in f.d.entries
    ]
    assert [e.to for e in envelopes] == ["carol-01"]


def test_those_present_follow_the_ratchet_without_an_envelope(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    room.join("carol-01")
    assert bob.open("alice-01", "mic", alice.seal("mic", b"hello"), 0) == b"hello"


def test_the_newcomer_opens_nothing_of_the_past(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    past = alice.seal("mic", b"secret")
    carol = room.join("carol-01")
    assert carol.open("alice-01", "mic", past, 0) is None
    assert bob.open("alice-01", "mic", past, 0) == b"secret"


def test_after_a_leave_there_is_a_new_generation_within_two_seconds(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    carol = room.join("carol-01")
    before, _ = generation_and_step(alice)
    room.leave("carol-01", now=10)
    room.tick(12)
    after, step = generation_and_step(alice)
    assert after != before
    assert step == 0
    frame = alice.seal("mic", b"without carol")
    assert bob.open("alice-01", "mic", frame, 12) == b"without carol"
    assert carol.open("alice-01", "mic", frame, 12) is None


def test_leaves_close_together_share_one_new_generation(room):
    alice = room.join("alice-01")
    for sid in ("bob-0001", "carol-01", "dave-001"):
        room.join(sid)
    room.seen.clear()
    room.leave("carol-01", now=10)
    room.leave("dave-001", now=10.5)
    room.tick(11.2)
    room.tick(11.9)
    assert len([f for sid, f in room.seen if sid == "alice-01" and isinstance(f, KeySend)]) == 1
    assert alice.own.newest is not None


def test_after_a_kick_the_new_generation_comes_at_once(room):
    alice, _, carol = room.join("alice-01"), room.join("bob-0001"), room.join("carol-01")
    before, _ = generation_and_step(alice)
    room.leave("carol-01", now=10, reason="kicked")
    assert generation_and_step(alice)[0] != before
    assert carol.open("alice-01", "mic", alice.seal("mic", b"x"), 10) is None


def test_who_joins_while_a_leave_is_settling_gets_a_key_that_the_leaver_cannot_follow(room):
    alice, _, carol = room.join("alice-01"), room.join("bob-0001"), room.join("carol-01")
    room.leave("carol-01", now=10)
    dave = room.join("dave-001", now=10.1)
    frame = alice.seal("mic", b"x")
    assert dave.open("alice-01", "mic", frame, 10.1) == b"x"
    assert carol.open("alice-01", "mic", frame, 10.1) is None


def test_a_key_is_used_after_one_second_even_if_an_ack_is_missing(room):
    alice, _ = room.join("alice-01"), room.join("bob-0001")
    generation, step = generation_and_step(alice)
    room.lost.add("carol-01")
    room.join("carol-01", now=5)
    assert generation_and_step(alice) == (generation, step)
    room.tick(6)
    assert generation_and_step(alice) == (generation, step + 1)


def test_a_lost_envelope_is_asked_for_and_sent_again(room):
    alice = room.join("alice-01")
    room.lost.add("bob-0001")
    bob = room.join("bob-0001")
    room.lost.clear()
    room.tick(1.0)
    assert bob.open("alice-01", "mic", alice.seal("mic", b"one"), 1.0) is None
    room.carry(1.0)
    assert bob.open("alice-01", "mic", alice.seal("mic", b"two"), 1.1) == b"two"


def test_frames_that_come_before_their_key_are_counted_apart(room):
    alice = room.join("alice-01")
    room.lost.add("bob-0001")
    bob = room.join("bob-0001")
    room.lost.clear()
    room.tick(1.0)
    assert bob.open("alice-01", "mic", alice.seal("mic", b"too soon"), 1.0) is None
    room.carry(1.0)
    broken = bytearray(alice.seal("mic", b"broken on its way"))
    broken[-1] ^= 1
    assert bob.open("alice-01", "mic", bytes(broken), 1.1) is None
    assert bob.open("alice-01", "mic", alice.seal("mic", b"in time"), 1.1) == b"in time"
    counts = bob.remotes["alice-01"].counts["mic"]
    assert (counts.received, counts.opened, counts.early, counts.failed) == (3, 1, 1, 1)


def test_a_missing_key_is_asked_for_at_most_once_a_second(room):
    alice = room.join("alice-01")
    room.lost.add("bob-0001")
    bob = room.join("bob-0001")
    room.tick(1.0)
    room.seen.clear()
    for tenth in range(31):
        bob.open("alice-01", "mic", alice.seal("mic", b"x"), 1.0 + tenth / 10)
        room.carry(1.0 + tenth / 10)
    assert len(room.sent(KeyRequest)) == 4


def test_a_member_that_never_had_a_key_causes_no_rotation_by_leaving(room):
    alice, _ = room.join("alice-01"), room.join("bob-0001")
    room.join("eve-0001", secret=None)
    before = generation_and_step(alice)
    room.leave("eve-0001", now=10)
    room.tick(20)
    assert generation_and_step(alice) == before


def test_without_a_key_a_frame_is_dropped():
    keys = CallKeys(Identity(), "team", "alice-01", SECRET, EPOCH)
    assert keys.seal("mic", b"x") is None


@pytest.mark.parametrize(
    ("source", "frame"), [("mic", b""), ("cam", b""), ("cam", b"\x01ab"), ("cam", bytes(10))]
)
def test_a_frame_with_nothing_to_seal_is_dropped(room, source, frame):
    assert room.join("alice-01").seal(source, frame) is None


def test_a_generation_ends_after_a_quarter_of_an_hour(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    before, _ = generation_and_step(alice)
    room.tick(sender_keys.MAX_AGE_S - 1)
    assert generation_and_step(alice)[0] == before
    room.tick(sender_keys.MAX_AGE_S)
    assert generation_and_step(alice)[0] != before
    assert bob.open("alice-01", "mic", alice.seal("mic", b"x"), sender_keys.MAX_AGE_S) == b"x"


def test_a_generation_ends_after_its_number_of_frames(room, monkeypatch):
    monkeypatch.setattr(sender_keys, "MAX_FRAMES", 10)
    alice, _ = room.join("alice-01"), room.join("bob-0001")
    before, _ = generation_and_step(alice)
    for _ in range(9):
        alice.seal("mic", b"x")
    room.tick(0.1)
    assert generation_and_step(alice)[0] != before


def test_a_generation_ends_at_its_last_step(room):
    alice = room.join("alice-01")
    before = split_key_id(alice.own.newest[0])[0]
    for n in range(255):
        assert alice.own.step(0, f"guest-{n:03d}")
    assert not alice.own.step(0, "one-more")
    room.join("bob-0001")
    assert split_key_id(alice.own.newest[0])[0] != before


def test_a_resync_drops_who_is_gone_and_greets_who_is_new(room):
    alice, _ = room.join("alice-01"), room.join("bob-0001")
    before, _ = generation_and_step(alice)
    carol = CallKeys(Identity(), "team", "carol-01", SECRET, EPOCH)
    carol.enter([room.members["alice-01"]], 10)
    members = [room.members["alice-01"], Member("carol-01", carol.bundle(10))]
    alice.resync(members, 10)
    assert set(alice.remotes) == {"carol-01"}
    assert split_key_id(alice.own.newest[0])[0] != before


def test_refused_envelopes_are_counted(room):
    alice, _ = room.join("alice-01"), room.join("bob-0001")
    alice.deliver("bob-0001", "AAAA", 1)
    assert alice.refused == 1


def test_an_envelope_that_overtakes_the_roster_event_is_kept_for_it(room):
    alice = room.join("alice-01")
    bob = CallKeys(Identity(), "team", "bob-0001", SECRET, EPOCH)
    bob.enter([room.members["alice-01"]], 0)
    (envelope,) = bob.drain()
    alice.deliver("bob-0001", envelope.d.entries[0].body, 0)
    assert alice.drain() == []
    alice.joined(Member("bob-0001", bob.bundle(0)), 0)
    assert any(isinstance(frame, KeyAck) for frame in alice.drain())


def test_envelopes_of_nobody_do_not_pile_up(room):
    alice = room.join("alice-01")
    for n in range(100):
        alice.deliver(f"nobody-{n:03d}", "AAAA", 0)
    assert alice.refused == 36


def test_a_member_that_gives_no_key_is_asked_for_one(room):
    alice = room.join("alice-01")
    silent = Member("bob-0001", Identity().bundle("team", "bob-0001", EPOCH, SECRET))
    alice.joined(silent, 0)
    alice.drain()
    assert alice.next_deadline(0) <= 2.0
    alice.tick(1.9)
    assert not [f for f in alice.drain() if isinstance(f, KeyRequest)]
    alice.tick(2.0)
    assert [f.to.sid for f in alice.drain() if isinstance(f, KeyRequest)] == ["bob-0001"]


def test_an_ack_of_an_earlier_step_counts_for_the_later_one(room):
    alice, _ = room.join("alice-01"), room.join("bob-0001")
    carol = CallKeys(Identity(), "team", "carol-01", SECRET, EPOCH)
    dave = CallKeys(Identity(), "team", "dave-001", SECRET, EPOCH)
    alice.joined(Member("carol-01", carol.bundle(0)), 5)
    carol_kid = alice.own.newest[0]
    alice.joined(Member("dave-001", dave.bundle(0)), 5)
    alice.acked("dave-001", alice.own.newest[0])
    alice.acked("carol-01", carol_kid)
    assert decode_header(alice.seal("mic", b"x"))[0] == alice.own.newest[0]
