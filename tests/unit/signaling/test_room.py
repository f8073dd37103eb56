from typing import Any

import msgspec
from callcluster_common import redis_keys
from callcluster_common.bus import Head, Occupant, RoomState, make_line
from callcluster_common.messages import server
from callcluster_common.messages.client import DescriptionData, MsgData
from callcluster_common.messages.types import Bundle, Member
from callcluster_signaling.room import Deliver, Evict, Room

encode = msgspec.json.encode
A, B, C = "a" * 16, "b" * 16, "c" * 16


def room(*sids: str, off: int = 10) -> Room:
    made = Room(redis_keys.room("r1"), "r1", "r-opaque")
    made.load(
        RoomState("e1", off, False, [Occupant(sid, encode(Member(sid)), f"pod.{sid}") for sid in sids])
    )
    for sid in sids:
        made.positions[sid] = off
    return made


def event(kind: str, uid: str = "x.1", **fields: Any) -> bytes:
    data = msgspec.convert({"kind": kind, **fields}, server.EventData)
    return make_line(Head(uid), encode(server.Event(d=data)))


def msg(sender: str, body: str, to: str = "") -> bytes:
    return make_line(Head("x.9", sender, to), encode(server.MsgRelay(from_=sender, d=MsgData(body))))


def test_a_message_goes_to_everybody_but_its_sender() -> None:
    (outcome,) = room(A, B, C).receive("e1", 11, msg(A, "hi"))
    assert isinstance(outcome, Deliver)
    assert sorted(outcome.sids) == [B, C]
    assert msgspec.json.decode(outcome.frame) == {"t": "msg", "off": 11, "from": A, "d": {"body": "hi"}}


def test_an_addressed_entry_goes_to_its_member_alone() -> None:
    (outcome,) = room(A, B, C).receive("e1", 11, msg(A, "hi", to=C))
    assert outcome == Deliver([C], outcome.frame)  # type: ignore[union-attr]
    assert room(A, B).receive("e1", 11, msg(A, "hi", to=C)) == []


def test_lines_that_come_early_wait_and_repeated_ones_are_dropped() -> None:
    here = room(A, B)
    assert here.receive("e1", 13, msg(A, "3")) == []
    assert here.receive("e1", 12, msg(A, "2")) == []
    assert here.gap
    bodies = [msgspec.json.decode(o.frame)["d"]["body"] for o in here.receive("e1", 11, msg(A, "1"))]  # type: ignore[union-attr]
    assert bodies == ["1", "2", "3"]
    assert not here.gap
    assert here.receive("e1", 12, msg(A, "2")) == []


def test_what_is_blocked_of_a_member_stands_in_the_roster_and_is_told_to_everybody() -> None:
    here = room(A, B)
    (told,) = here.receive("e1", 11, event("blocked", sid=B, media="video", blocked=True))
    assert isinstance(told, Deliver)
    assert sorted(told.sids) == [A, B]
    here.receive("e1", 12, event("blocked", sid=B, media="audio", blocked=True))
    here.receive("e1", 13, event("blocked", sid=B, media="audio", blocked=True))
    here.receive("e1", 14, event("updated", sid=B, state={"audio": True}))
    assert here.members[B].blocked == ["audio", "video"]
    here.receive("e1", 15, event("blocked", sid=B, media="video", blocked=False))
    assert here.members[B].blocked == ["audio"]
    again = room(A)
    occupant = Occupant(A, encode(Member(A, blocked=["video"])), "p.1", "audio")
    again.load(RoomState("e2", 1, False, [occupant]))
    assert again.members[A].blocked == ["audio"], "the ledger says it, not the member's line"


def test_the_roster_follows_events() -> None:
    here = room(A)
    here.receive("e1", 11, event("joined", "pod2.7", sid=B, member={"sid": B}))
    assert here.claims[B] == "pod2.7"
    here.receive("e1", 12, event("updated", sid=B, state={"audio": True}))
    assert here.members[B].state.audio
    bundle = Bundle("kx1", "A" * 43, "B" * 43, 1, 2, "C" * 86)
    here.receive("e1", 13, event("renewed", sid=B, bundle=bundle))
    assert here.members[B].bundle == bundle
    here.receive("e1", 14, event("reconnecting", sid=B))
    assert here.members[B].reconnecting
    assert B not in here.claims
    here.receive("e1", 15, event("resumed", "pod3.1", sid=B))
    assert not here.members[B].reconnecting
    assert here.claims[B] == "pod3.1"
    here.receive("e1", 16, event("locked", locked=True))
    assert here.snapshot().locked
    here.receive("e1", 17, event("left", sid=B, reason="left"))
    assert [member.sid for member in here.snapshot().members] == [A]


def test_members_do_not_hear_of_themselves() -> None:
    here = room(A, B)
    (outcome,) = here.receive("e1", 11, event("updated", sid=A, state={}))
    assert outcome == Deliver([B], outcome.frame)  # type: ignore[union-attr]


def test_a_kicked_member_is_evicted_and_the_others_are_told() -> None:
    outcomes = room(A, B).receive("e1", 11, event("left", sid=B, reason="kicked"))
    assert outcomes[0] == Deliver([A], outcomes[0].frame)  # type: ignore[union-attr]
    assert outcomes[1:] == [Evict(B, "kicked")]


def test_the_end_reaches_everybody_before_they_are_evicted() -> None:
    outcomes = room(A, B).receive("e1", 11, event("ended"))
    assert isinstance(outcomes[0], Deliver)
    assert sorted(outcomes[0].sids) == [A, B]
    assert outcomes[1:] == [Evict(A, "ended"), Evict(B, "ended")]


def test_another_epoch_is_noticed_and_not_mixed_in() -> None:
    here = room(A, B)
    assert here.receive("e2", 11, msg(A, "x")) == []
    assert here.lost_epoch
    assert here.off == 10


def test_lines_that_no_honest_pod_sends_are_skipped_and_counted() -> None:
    here = room(A, B)
    bad = [
        b"",
        b"no head",
        b'["u"]\n{"t":"welcome","d":{}}',
        b'["u"]\n{"t":"msg"}',
        b'{"uid":1}\n{"t":"ev","d":{"kind":"ended"}}',
        b'["u"]\n{"t":"ev","d":{"kind":"joined","sid":"../../x"}}',
        b'["u"]\n' + b"[" * 100_000,
    ]
    for number, line in enumerate(bad, 11):
        assert here.receive("e1", number, line) == []
    assert here.refused == len(bad)
    assert len(here.receive("e1", 11 + len(bad), msg(A, "fine"))) == 1


def test_a_newcomer_gets_what_was_applied_while_it_was_on_its_way() -> None:
    here = room(A)
    here.await_arrival()
    state = RoomState("e1", 11, False, [])
    here.receive("e1", 11, event("joined", "pod.1", sid=B, member={"sid": B}))
    here.receive("e1", 12, msg(A, "welcome"))
    frames = [msgspec.json.decode(frame) for frame in here.seat(B, state)]
    assert [frame["off"] for frame in frames] == [12]
    (outcome,) = here.receive("e1", 13, msg(A, "again"))
    assert outcome == Deliver([B], outcome.frame)  # type: ignore[union-attr]


def test_a_newcomer_does_not_get_what_its_snapshot_holds() -> None:
    here = room(A)
    here.await_arrival()
    assert here.seat(B, RoomState("e1", 12, False, [])) == []
    assert here.receive("e1", 11, msg(A, "old")) == []
    assert here.receive("e1", 12, msg(A, "old")) == []
    assert len(here.receive("e1", 13, msg(A, "new"))) == 1


def test_what_was_given_early_is_not_given_twice() -> None:
    here = room(A, B, C)
    line = make_line(Head("x.5", A, B), encode(server.OfferRelay(from_=A, d=DescriptionData("v=0"))))
    assert here.give_early(line) == [Deliver([B], line.partition(b"\n")[2])]
    assert here.given_to_all("x.5", B)
    assert here.receive("e1", 11, line) == []
    assert here.off == 11


def test_an_early_gift_counts_as_complete_only_when_all_are_here() -> None:
    here = room(A, B)
    here.receive("e1", 11, event("joined", "elsewhere.1", sid=C, member={"sid": C}))
    line = make_line(Head("x.6", A), encode(server.MsgRelay(from_=A, d=MsgData("x"))))
    here.give_early(line)
    assert not here.given_to_all("x.6", "")
    assert not here.given_to_all("x.7", B)
