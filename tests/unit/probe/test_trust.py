"""Whom a member trusts, and what the security code covers: docs/e2ee.md, played out without a network."""

import pytest
from callcluster_common.messages.client import BundleRefresh, KeySend
from callcluster_common.messages.types import Member
from callcluster_probe.e2ee import bundle
from callcluster_probe.e2ee.bundle import Identity
from callcluster_probe.e2ee.keys import CallKeys
from callcluster_probe.e2ee.room_secret import RoomSecret
from kit.probe_room import EPOCH, SECRET, Room, generation_and_step


@pytest.fixture
def room():
    return Room()


def test_a_member_with_another_secret_gets_no_key_and_gives_none(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    eve = room.join("eve-0001", secret=RoomSecret("team", b"\x01" * 32))
    room.tick(1.0)
    assert not alice.trusted("eve-0001", 1.0)
    assert not eve.trusted("alice-01", 1.0)
    assert eve.open("alice-01", "mic", alice.seal("mic", b"x"), 1.0) is None
    assert alice.open("eve-0001", "mic", eve.seal("mic", b"x"), 1.0) is None
    assert alice.remotes["eve-0001"].counts["mic"].received == 1
    assert alice.remotes["eve-0001"].counts["mic"].opened == 0
    room.carry(1.0)
    assert not [e for f in room.sent(KeySend) for e in f.d.entries if e.to == "eve-0001"]
    assert bob.open("alice-01", "mic", alice.seal("mic", b"control"), 1.0) == b"control"


def test_an_untrusted_member_who_asks_gets_no_answer(room):
    alice = room.join("alice-01")
    room.join("eve-0001", secret=None)
    alice.requested("eve-0001", 1.0)
    assert alice.drain() == []


def test_the_keys_of_a_bundle_are_pinned_for_the_life_of_its_session(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    code = alice.security_code()
    forged = Member("bob-0001", Identity().bundle("team", "bob-0001", EPOCH + 60, SECRET))
    alice.joined(forged, 1)
    assert alice.security_code() == code
    assert alice.open("bob-0001", "mic", bob.seal("mic", b"still bob"), 1) == b"still bob"


def test_a_bundle_that_runs_out_may_be_renewed_with_the_same_keys(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    over = bundle.LIFETIME_S - bundle.SKEW_S
    assert not alice.trusted("bob-0001", over)
    alice.renewed("bob-0001", bob.bundle(over - 3600), over - 3600)
    assert alice.trusted("bob-0001", over)
    alice.renewed("bob-0001", room.members["bob-0001"].bundle, over - 3600)
    assert alice.trusted("bob-0001", over)
    alice.resync([Member("bob-0001", bob.bundle(over))], over)
    assert alice.trusted("bob-0001", over + 3600)


def test_a_member_whose_bundle_runs_out_opens_nothing_more_and_is_heard_no_more(room):
    room.takes_bundles = False
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    over = bundle.LIFETIME_S - bundle.SKEW_S
    bob.renewed("alice-01", alice.bundle(over - 3600), over - 3600)
    room.tick(over - 1)
    before, _ = generation_and_step(alice)
    assert alice.next_deadline(over - 1) <= over
    room.tick(over)
    room.tick(over + 2)
    assert alice.open("bob-0001", "mic", bob.seal("mic", b"still here"), over + 2) is None
    assert generation_and_step(alice)[0] != before
    assert bob.open("alice-01", "mic", alice.seal("mic", b"among us"), over + 2) is None


def test_a_member_that_comes_with_a_late_bundle_gets_a_key_then(room):
    alice = room.join("alice-01")
    bob = CallKeys(Identity(), "team", "bob-0001", SECRET, EPOCH)
    alice.joined(Member("bob-0001"), 0)
    alice.drain()
    alice.renewed("bob-0001", bob.bundle(0), 1)
    assert [e.to for f in alice.drain() if isinstance(f, KeySend) for e in f.d.entries] == ["bob-0001"]


def test_a_session_that_comes_back_with_another_bundle_is_not_trusted(room):
    alice, _ = room.join("alice-01"), room.join("bob-0001")
    room.leave("bob-0001", now=5)
    alice.joined(Member("bob-0001", Identity().bundle("team", "bob-0001", EPOCH, SECRET)), 6)
    assert not alice.trusted("bob-0001", 6)


def test_a_server_that_lets_a_member_leave_and_join_again_can_replay_nothing(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    frame = alice.seal("mic", b"once")
    assert bob.open("alice-01", "mic", frame, 0) == b"once"
    bob.left("alice-01", "left", 5)
    bob.joined(room.members["alice-01"], 5)
    bob.tick(8)
    room.carry(8)
    assert bob.open("alice-01", "mic", frame, 8) is None
    assert bob.open("alice-01", "mic", alice.seal("mic", b"more"), 8) == b"more"


def test_the_security_code_covers_members_that_are_not_trusted(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    stranger = Member("mallory1", Identity().bundle("team", "mallory1", EPOCH, None))
    alice.joined(stranger, 1)
    assert not alice.trusted("mallory1", 1)
    assert alice.security_code() != bob.security_code()


def test_the_security_code_follows_what_members_renew(room):
    alice, bob = room.join("alice-01"), CallKeys(Identity(), "team", "bob-0001", SECRET, EPOCH)
    bob.enter([room.members["alice-01"]], 0)
    alice.joined(Member("bob-0001"), 0)
    assert alice.security_code() != bob.security_code()
    alice.renewed("bob-0001", bob.bundle(1), 1)
    assert alice.security_code() == bob.security_code()
    alice.renewed("bob-0001", Identity().bundle("team", "bob-0001", EPOCH + 60, SECRET), 2)
    assert alice.security_code() != bob.security_code()


@pytest.mark.parametrize("ik", ["A" * 42 + "B", "A" * 42 + "\n", "A" * 20])
def test_an_identity_key_that_is_none_is_no_part_of_the_security_code(room, ik):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    bundle = Identity().bundle("team", "mallory1", EPOCH, SECRET)
    bundle.ik = ik
    alice.joined(Member("mallory1", bundle), 1)
    assert not alice.trusted("mallory1", 1)
    assert alice.security_code() == bob.security_code()


def test_all_members_see_the_same_security_code_and_a_swapped_key_changes_it(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    assert alice.security_code() == bob.security_code()
    swapped = Member("bob-0001", Identity().bundle("team", "bob-0001", EPOCH, SECRET))
    victim = CallKeys(Identity(), "team", "alice-02", SECRET, EPOCH)
    victim.enter([swapped], 0)
    assert victim.security_code() != bob.security_code()


def let_time_pass(room, until):
    """Tick each time that something is due."""
    now = 0.0
    while (now := max(now, min(keys.next_deadline(now) for keys in room.keys.values()))) < until:
        room.tick(now)


def test_members_trust_each_other_for_days_for_each_renews_its_bundle(room):
    alice, bob = room.join("alice-01"), room.join("bob-0001")
    days = 3 * bundle.LIFETIME_S
    let_time_pass(room, days)
    assert alice.trusted("bob-0001", days)
    assert bob.trusted("alice-01", days)
    assert bob.open("alice-01", "mic", alice.seal("mic", b"still here"), days) == b"still here"
    # Ten to twelve hours lie between two of them.
    assert 2 * 6 <= len(room.sent(BundleRefresh)) <= 2 * 7
    late = room.join("late-001", days)
    assert late.trusted("alice-01", days)


def test_a_bundle_that_was_not_taken_is_offered_again(room):
    room.takes_bundles = False
    alice = room.join("alice-01")
    let_time_pass(room, 13 * 3_600)
    refused = len(room.sent(BundleRefresh))
    assert 6 <= refused <= 18
    room.takes_bundles = True
    room.tick(13 * 3_600 + 600.0)
    assert len(room.sent(BundleRefresh)) == refused + 1
    assert alice.next_deadline(13 * 3_600 + 600.0) > 13 * 3_600 + 600
