"""Whatever happens to a room in whatever order: what the SFU holds and says fits who is in it."""

from __future__ import annotations

import hypothesis.strategies as st
from callcluster_common.bus import Entry
from callcluster_sfu.negotiation import Numbers
from callcluster_sfu.room import Room, RoomLimits
from callcluster_sfu.rooms.says import Answer, Refusal, Tracks
from callcluster_sfu.rooms.seat import Effect, Offered, Seat
from callcluster_sfu.sdp import serialize
from callcluster_sfu.sdp.values import Direction, IceCredentials
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from kit.sfu_offers import POLICY, audio, offer
from kit.sfu_plane import PlaneBooks
from kit.sfu_room import EPOCH, LedgerOfTests, sid_of

NAMES = [f"member{number}" for number in range(4)]
LIMITS = RoomLimits(members=len(NAMES), tracks=2)


class SeatMachine(RuleBasedStateMachine):
    """Members come, move, offer, lose their transports and go; entries may be lost on their way."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = LedgerOfTests()
        self.lost: list[Entry] = []
        self.plane = PlaneBooks()
        self.made = 0
        self.clock = 0.0
        self.told: dict[str, Tracks] = {}
        self.seqs: dict[str, int] = {}
        self.seat = Seat(
            "sfu.1",
            Room(POLICY, Numbers(1_000), LIMITS),
            fresh=self._fresh,
            session=lambda: 5,
            may_connect=lambda: True,
            now=lambda: self.clock,
        )

    def _fresh(self) -> IceCredentials:
        self.made += 1
        return IceCredentials(f"ufrag{self.made}", "p" * 24)

    def _done(self, effects: list[Effect]) -> None:
        self.plane.carry_out(effect for effect in effects if not isinstance(effect, Answer | Refusal))

    def _push(self, entry: Entry, arrives: bool) -> None:
        if arrives:
            self._done(self.seat.receive(EPOCH, entry.off, entry.line))
        self.lost.append(entry)

    @initialize(names=st.sets(st.sampled_from(NAMES)))
    def load(self, names: set[str]) -> None:
        for name in sorted(names):
            self.ledger.joined(name)
        self._done(self.seat.load(self.ledger.state()))

    @rule(name=st.sampled_from(NAMES), arrives=st.booleans())
    def come_or_go(self, name: str, arrives: bool) -> None:
        is_in = sid_of(name) in self.ledger.claims
        self._push(self.ledger.left(name) if is_in else self.ledger.joined(name), arrives)

    @rule(name=st.sampled_from(NAMES), arrives=st.booleans(), away=st.booleans())
    def move(self, name: str, arrives: bool, away: bool) -> None:
        if sid_of(name) in self.ledger.claims:
            entry = self.ledger.reconnecting(name) if away else self.ledger.resumed(name, "pod.9")
            self._push(entry, arrives)

    @rule()
    def catch_up(self) -> None:
        entries, self.lost = self.lost, []
        self._done(self.seat.catch_up(entries))
        assert self.seat.roster.claims == self.ledger.claims
        assert not self.seat.roster.behind

    @rule(name=st.sampled_from(NAMES), sends=st.booleans(), wanted=st.integers(0, 2))
    def offer(self, name: str, sends: bool, wanted: int) -> None:
        sid = sid_of(name)
        self._hear()
        if sid not in self.told or sid not in self.seat.roster.claims:
            return
        seq = self.seqs[sid] = self.seqs.get(sid, 0) + 1
        first = audio("0", Direction.SENDONLY if sends else Direction.INACTIVE)
        known = [track.name for track in self.told[sid].tracks]
        wants = {"1": known[wanted]} if wanted < len(known) else {"1": "t1"}
        text = serialize(offer(first, audio("1", Direction.RECVONLY), version=seq))
        self._done(self.seat.offered(Offered(sid, self.told[sid].route, seq, text, wants)))

    @rule(seconds=st.integers(0, 30))
    def wait(self, seconds: int) -> None:
        self.clock += seconds
        self._done(self.seat.answer_late())
        self.seat.remind()

    @precondition(lambda self: bool(self.plane.peers))
    @rule(data=st.data(), refused=st.booleans())
    def lose_a_transport(self, data: st.DataObject, refused: bool) -> None:
        peer = data.draw(st.sampled_from(sorted(self.plane.peers)))
        if refused:
            self.plane.forget(peer)
            self.plane.peers.add(peer)  # to be removed by the one command that follows
            self._done(self.seat.reset(peer))
        else:
            self.plane.forget(peer)
            self._done(self.seat.disconnected(peer))

    def _hear(self) -> None:
        for tracks in self.seat.due():
            before = self.told.get(tracks.sid)
            if before is not None and before.route == tracks.route and before.tracks != tracks.tracks:
                assert tracks.revision > before.revision
            self.told[tracks.sid] = tracks

    @invariant()
    def nobody_else_has_anything_on_the_plane(self) -> None:
        assert len(self.plane.peers) == self.seat.connected
        assert self.seat.connected <= len(self.seat.roster.claims)
        assert len(self.plane.tracks) == self.seat.published <= LIMITS.tracks

    @invariant()
    def everybody_is_told_what_there_is(self) -> None:
        self._hear()
        published = {
            track.name: track.member
            for tracks in self.told.values()
            if tracks.sid in self.seat.roster.claims
            for track in tracks.tracks
        }
        assert set(published.values()) <= set(self.seat.roster.claims)
        assert len(published) <= self.seat.published

    def teardown(self) -> None:
        self._done(self.seat.close())
        assert (self.plane.peers, self.plane.tracks, self.plane.legs) == (set(), {}, {})


TestSeat = SeatMachine.TestCase
TestSeat.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
