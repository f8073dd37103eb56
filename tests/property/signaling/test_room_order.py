import msgspec
from callcluster_common import redis_keys
from callcluster_common.bus import Entry, Head, Occupant, RoomState, make_line
from callcluster_common.messages import server
from callcluster_common.messages.client import MsgData
from callcluster_common.messages.types import Member
from callcluster_signaling.room import Deliver, Room
from hypothesis import given, settings
from hypothesis import strategies as st

SIDS = ["a" * 16, "b" * 16, "c" * 16]


def _line(number: int, sender: str, to: str) -> bytes:
    frame = server.MsgRelay(from_=sender, d=MsgData(str(number)))
    return make_line(Head(f"pod.{number}", sender, to), msgspec.json.encode(frame))


ENTRIES = st.lists(st.tuples(st.sampled_from(SIDS), st.sampled_from(["", *SIDS])), min_size=1, max_size=25)


@settings(deadline=None)
@given(ENTRIES, st.data())
def test_whatever_order_and_repetition_pushes_come_in_each_member_gets_all_of_its_entries_once_in_order(
    entries: list[tuple[str, str]], data: st.DataObject
) -> None:
    lines = {off: _line(off, sender, to) for off, (sender, to) in enumerate(entries, 1)}
    pushes = data.draw(st.permutations([*lines, *data.draw(st.lists(st.sampled_from(list(lines))))]))
    lost = data.draw(st.sets(st.sampled_from(list(lines))))
    room = Room(redis_keys.room("r"), "r", "o")
    room.load(
        RoomState("e", 0, False, [Occupant(s, msgspec.json.encode(Member(s)), f"p.{s}") for s in SIDS])
    )
    room.positions.update(dict.fromkeys(SIDS, 0))
    got: dict[str, list[int]] = {sid: [] for sid in SIDS}

    def note(outcomes: list[object]) -> None:
        for outcome in outcomes:
            assert isinstance(outcome, Deliver)
            for sid in outcome.sids:
                got[sid].append(msgspec.json.decode(outcome.frame)["off"])

    for off in pushes:
        if off not in lost:
            note(list(room.receive("e", off, lines[off])))
    note(list(room.catch_up([Entry(off, line) for off, line in lines.items() if off > room.off])))

    assert room.off == len(entries)
    for sid in SIDS:
        assert got[sid] == [
            off for off, (sender, to) in enumerate(entries, 1) if (to == sid if to else sender != sid)
        ]
