from typing import Any

import msgspec
from callcluster_common import redis_keys
from callcluster_common.bus import Entry, Head, Person, Ticket, make_line
from callcluster_common.bus.ledger import Ledger
from callcluster_common.messages import server
from callcluster_common.messages.client import MsgData
from callcluster_common.messages.types import Member
from callcluster_signaling.room import Deliver, Room, replay
from hypothesis import given, settings
from hypothesis import strategies as st

TALKER, MOVER, LISTENER = "t" * 16, "m" * 16, "l" * 16
PODS = ("p0", "p1")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(["", MOVER, LISTENER])),
        st.tuples(st.just("pump"), st.integers(0, 1), st.integers(1, 4)),
        st.tuples(st.just("lose"), st.integers(0, 1)),
        st.tuples(st.just("catch_up"), st.integers(0, 1)),
        st.tuples(st.just("read"), st.integers(1, 4)),
        st.tuples(st.just("drop"), st.just(0)),
        st.tuples(st.just("resume"), st.integers(0, 1), st.integers(0, 2)),
    ),
    max_size=40,
)


class World:
    """A ledger, two pods whose pushes are slow and may get lost, and a member that moves between them."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.rooms = [Room(redis_keys.room("r"), "r", "o") for _ in PODS]
        self.pushes: list[list[Entry]] = [[], []]
        self.inbox: list[bytes] = []
        self.read: list[int] = []
        self.off = 0
        self.at: int | None = None
        self.attempt = 0
        self.meant: list[int] = []
        for sid in (TALKER, LISTENER, MOVER):
            member = msgspec.json.encode(Member(sid))
            event = server.Event(d=server.EventData(kind="joined", sid=sid, member=Member(sid)))
            line = make_line(Head(f"p0.{sid}", sid), msgspec.json.encode(event))
            ticket = Ticket(
                sid, f"p0.{sid}", Person(sid, sid, ""), member, line, 9, False, "e1", "p0.0", 60_000
            )
            self._publish(self.ledger.join(ticket, 0))
        self.off = self.ledger.off
        for room in self.rooms:
            room.load(self.ledger.state())
        self._sit(0)
        self.pushes = [[], []]

    def _publish(self, entries: list[Entry]) -> None:
        for queue in self.pushes:
            queue += entries

    def _sit(self, pod: int) -> None:
        self.at = pod
        self.rooms[pod].positions[MOVER] = self.off

    def _deliver(self, pod: int, outcomes: list[object]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Deliver) and MOVER in outcome.sids and self.at == pod:
                self.inbox.append(outcome.frame)

    def say(self, to: str) -> None:
        frame = server.MsgRelay(from_=TALKER, d=MsgData("x"))
        line = make_line(Head(f"p0.{self.ledger.off}", TALKER, to), msgspec.json.encode(frame))
        entry = self.ledger.publish("e1", TALKER, f"p0.{TALKER}", line, b"", 0)
        assert isinstance(entry, Entry)
        if to in ("", MOVER):
            self.meant.append(entry.off)
        self._publish([entry])

    def pump(self, pod: int, count: int) -> None:
        for entry in self.pushes[pod][:count]:
            self._deliver(pod, list(self.rooms[pod].receive("e1", entry.off, entry.line)))
        del self.pushes[pod][:count]

    def lose(self, pod: int) -> None:
        del self.pushes[pod][:1]

    def catch_up(self, pod: int) -> None:
        history = self.ledger.history(self.rooms[pod].off, 0)
        assert history.entries is not None
        self._deliver(pod, list(self.rooms[pod].catch_up(history.entries)))

    def take(self, count: int) -> None:
        for frame in self.inbox[:count]:
            off = msgspec.json.decode(frame)["off"]
            assert off > self.off, "offsets went back"
            self.off = off
            self.read.append(off)
        del self.inbox[:count]

    def drop(self, _: int) -> None:
        """The socket breaks: what was written and not read is gone."""
        self.inbox.clear()
        if self.at is not None:
            self.rooms[self.at].positions.pop(MOVER)
            self.at = None

    def resume(self, pod: int, said_meanwhile: int = 0) -> None:
        self.drop(0)
        self.attempt += 1
        claim = f"p{pod}.{self.attempt}"
        event = server.Event(d=server.EventData(kind="resumed", sid=MOVER))
        line = make_line(Head(claim, MOVER), msgspec.json.encode(event))
        room = self.rooms[pod]
        room.await_arrival()
        found = self.ledger.attach(MOVER, claim, self.attempt, line, "e1", self.off, 0)
        assert found is not None
        back, entry = found
        self._publish([entry])
        assert back.recovered
        # Pushes may be applied between the reply's making and its reading.
        for _ in range(said_meanwhile):
            self.say("")
        self.pump(pod, 100 if said_meanwhile else 0)
        self.inbox += replay(back.missed, MOVER)
        self.inbox += room.seat(MOVER, back.state)
        self.at = pod


@settings(deadline=None)
@given(STEPS)
def test_a_member_that_moves_and_drops_as_it_likes_gets_every_entry_once_in_order(
    steps: list[tuple[Any, ...]],
) -> None:
    world = World()
    for name, *arguments in steps:
        getattr(world, "take" if name == "read" else name)(*arguments)
    world.resume(0)
    world.catch_up(0)
    world.take(1_000)
    relevant = [off for off in world.read if off in world.meant]
    assert relevant == world.meant
    assert world.read == sorted(set(world.read))
