"""What a pod's copy of a room knows of the SFU that serves it."""

from typing import Any

import msgspec
import pytest
from callcluster_common import redis_keys
from callcluster_common.bus import Head, Occupant, RoomState, make_line
from callcluster_common.messages import server
from callcluster_common.messages.types import Member
from callcluster_signaling.room import Deliver, Room, Want

encode = msgspec.json.encode
A, B, C, D = "a" * 16, "b" * 16, "c" * 16, "d" * 16


def state(*sids: str, off: int = 10, seat: str = "", epoch: str = "e1") -> RoomState:
    return RoomState(
        epoch, off, False, [Occupant(sid, encode(Member(sid)), f"p.{sid}") for sid in sids], seat
    )


def room(*sids: str, seat: str = "") -> Room:
    made = Room(redis_keys.room("r1"), "r1", "r-opaque")
    made.load(state(*sids, seat=seat))
    for sid in sids:
        made.positions[sid] = made.off
    return made


def happens(here: Room, kind: str, **fields: Any) -> bool:
    """Let an event come in; whether the room calls for an SFU by it."""
    data = msgspec.convert({"kind": kind, **fields}, server.EventData)
    line = make_line(Head(f"x.{here.off}"), encode(server.Event(d=data)))
    return Want() in here.receive("e1", here.off + 1, line)


def joins(here: Room, sid: str) -> bool:
    return happens(here, "joined", sid=sid, member=Member(sid))


def leaves(here: Room, sid: str) -> bool:
    return happens(here, "left", sid=sid, reason="left")


def test_the_third_member_calls_for_an_sfu_and_the_fourth_not_again() -> None:
    here = room(A)
    assert not joins(here, B)
    assert joins(here, C)
    assert here.wants_sfu
    assert not joins(here, D)
    assert here.wants_sfu


def test_members_that_are_reconnecting_count() -> None:
    here = room(A, B)
    happens(here, "reconnecting", sid=B)
    assert joins(here, C)


def test_a_served_room_wants_no_other_sfu() -> None:
    here = room(A, B, C)
    assert not happens(here, "sfu", sfu="s.1")
    assert here.sfu == "s.1"
    assert not here.wants_sfu
    assert not joins(here, D)


def test_everybody_is_told_of_the_sfu() -> None:
    line = make_line(Head("x.1"), encode(server.Event(d=server.EventData(kind="sfu", sfu="s.1"))))
    (outcome,) = room(A, B).receive("e1", 11, line)
    assert isinstance(outcome, Deliver)
    assert sorted(outcome.sids) == [A, B]
    assert msgspec.json.decode(outcome.frame) == {"t": "ev", "off": 11, "d": {"kind": "sfu", "sfu": "s.1"}}


@pytest.mark.parametrize(("sids", "wants"), [([A], False), ([A, B], True), ([A, B, C], True)])
def test_a_room_whose_sfu_went_calls_for_another_while_two_are_there(sids: list[str], wants: bool) -> None:
    here = room(*sids, seat="s.1")
    assert happens(here, "sfu") is wants
    assert here.sfu == ""
    assert here.wants_sfu is wants


def test_two_who_lost_their_sfu_want_one_until_one_of_them_goes() -> None:
    here = room(A, B, seat="s.1")
    assert happens(here, "sfu")
    assert not leaves(here, B)
    assert not joins(here, B)
    assert not here.wants_sfu


def test_a_new_sfu_ends_the_wish_for_one() -> None:
    here = room(A, B, seat="s.1")
    happens(here, "sfu")
    happens(here, "sfu", sfu="s.2")
    assert not here.wants_sfu
    assert happens(here, "sfu")


def test_the_next_call_in_the_room_begins_without_a_wish() -> None:
    here = room(A, B, seat="s.1")
    happens(here, "sfu")
    happens(here, "ended")
    joins(here, C)
    assert not joins(here, D)


def test_a_copy_that_is_loaded_anew_calls_where_the_sfu_is_gone_or_the_room_has_grown() -> None:
    assert Want() in room(A).load(state(A, B, C, off=20))
    assert Want() in room(A, B, seat="s.1").load(state(A, B, off=20))
    assert Want() not in room(A, B).load(state(A, B, off=20))
    assert Want() not in room(A).load(state(A, B, C, off=20, seat="s.1"))
    assert Want() not in room(A, B, C).load(state(A, B, C, off=20)), "it had called before"


def test_after_a_loss_of_data_the_sfu_may_come_back_before_another_is_called() -> None:
    here = room(A, B, C, seat="s.1")
    assert Want() not in here.load(state(A, B, C, epoch="e2"))
    assert here.wants_sfu, "with the next renewal of leases"


def test_the_snapshot_names_the_sfu() -> None:
    assert room(A, B, seat="s.1").snapshot().sfu == "s.1"
    assert room(A, B).snapshot().sfu == ""


# The ephemeral lane


def test_only_the_sfu_that_serves_the_room_is_heard() -> None:
    here = room(A, B, seat="s.1")
    assert here.accepts(A, b"{}", "s.1")
    assert not here.accepts(A, b"{}", "s.2")
    assert not here.accepts(A, b"{}", "")
    assert not room(A).accepts(A, b"{}", "s.1")
    assert here.accepts(A, b"{}", None), "what members send each other"


def test_frames_for_somebody_else_go_nowhere() -> None:
    here = room(A, seat="s.1")
    assert not here.accepts(C, b"{}", "s.1")
    here.await_arrival()
    assert here.seat(C, state(A, C, seat="s.1")) == []


def test_frames_for_a_newcomer_wait_until_it_is_seated() -> None:
    here = room(A, seat="s.1")
    here.await_arrival()
    assert not here.accepts(B, b"1", "s.1")
    assert not here.accepts(B, b"2", None)
    assert not here.accepts(B, b"forged", "s.2")
    assert not here.accepts(C, b"another's", "s.1")
    assert here.seat(B, state(A, B, seat="s.1")) == [b"1", b"2"]
    assert here.accepts(B, b"3", "s.1")


def test_frames_for_the_first_member_here_wait_for_the_state_that_names_the_sfu() -> None:
    here = Room(redis_keys.room("r1"), "r1", "r-opaque")
    here.await_arrival()
    assert not here.accepts(B, b"1", "s.1")
    assert not here.accepts(B, b"forged", "s.2")
    assert here.seat(B, state(A, B, seat="s.1")) == [b"1"]


def test_what_waited_for_a_member_that_did_not_come_is_dropped() -> None:
    here = room(A, seat="s.1")
    here.await_arrival()
    here.accepts(B, b"1", "s.1")
    here.give_up()
    here.await_arrival()
    assert here.seat(B, state(A, B, seat="s.1")) == []


def test_what_waits_for_newcomers_is_bounded() -> None:
    here = room(A, seat="s.1")
    here.await_arrival()
    for _ in range(10_000):
        here.accepts(B, b"x", "s.1")
    assert len(here.seat(B, state(A, B, seat="s.1"))) == 256
