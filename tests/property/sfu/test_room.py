from dataclasses import dataclass, field

from callcluster_sfu.negotiation import AddPeer, Numbers
from callcluster_sfu.room import Do, Effect, Ended, Room, RoomLimits, Wish
from callcluster_sfu.sdp import serialize
from callcluster_sfu.sdp.values import Direction, IceCredentials, Section
from hypothesis import given
from hypothesis import strategies as st
from kit.sfu_offers import POLICY, audio, offer, video
from kit.sfu_plane import PlaneBooks
from kit.sfu_strategies import patient

FRESH = IceCredentials("fresh", "f" * 24)
MEMBERS = st.sampled_from(["ann", "bob", "cid"])
TRACKS = st.sampled_from([f"t{number}" for number in range(1, 7)])
ACTS = st.lists(
    st.tuples(
        st.integers(0, 1),
        MEMBERS,
        st.one_of(
            st.just("admit"),
            st.just("admit"),
            st.just("dismiss"),
            st.tuples(
                st.just("offer"),
                st.lists(st.sampled_from(Direction), min_size=1, max_size=4),
                st.dictionaries(st.sampled_from(["0", "1", "2", "3"]), TRACKS, max_size=4),
            ),
            st.just("lose"),
            st.tuples(st.just("live"), st.integers(1, 30), st.integers(0, 2)),
            st.tuples(st.just("wish"), TRACKS, st.booleans()),
            st.tuples(st.just("mute"), st.sampled_from(["audio", "video"]), st.booleans()),
        ),
    ),
    max_size=30,
)
SEND, RECEIVE = Direction.SENDONLY, Direction.RECVONLY
A_CALL = [
    (at, member, act)
    for at in range(2)
    for member, act in [
        ("ann", "admit"),
        ("bob", "admit"),
        ("ann", ("offer", [SEND, SEND], {})),
        ("bob", ("offer", [SEND, RECEIVE], {"1": "t2"})),
        ("ann", ("offer", [SEND, SEND, RECEIVE], {"2": "t3"})),
    ]
]
"""Both rooms with two people who get something of one another."""


@dataclass
class House:
    """Two rooms on one plane; a member's sections are audio and video in turn, and never get fewer."""

    plane: PlaneBooks = field(default_factory=PlaneBooks)
    numbers: Numbers = field(default_factory=lambda: Numbers(7))
    rooms: list[Room] = field(default_factory=list)
    sections: dict[tuple[int, str], list[Direction]] = field(default_factory=dict)
    peers: dict[int, int] = field(default_factory=dict)
    """Room by peer."""
    owners: dict[int, str] = field(default_factory=dict)
    """Member by peer."""
    version: int = 0

    def __post_init__(self) -> None:
        self.rooms = [Room(POLICY, self.numbers, RoomLimits(members=2, tracks=4)) for _ in range(2)]

    def act(self, at: int, member: str, act: object) -> list[Effect]:
        room = self.rooms[at]
        match act:
            case "admit":
                return room.admit(member, 1)
            case "dismiss":
                self.sections.pop((at, member), None)
                return room.dismiss(member)
            case ("offer", list(directions), dict(wants)):
                return self._offer(at, member, directions, wants)
            case "lose":
                return self._lose(at, member)
            case ("live", int(number), int(encoding)):
                return room.live(number, encoding)
            case ("wish", str(track), bool(paused)):
                return room.wish(member, {track: Wish(paused=paused)})
            case ("mute", str(kind), bool(muted)):
                return room.mute(member, kind, muted=muted)
        raise AssertionError(act)

    def _offer(
        self, at: int, member: str, directions: list[Direction], wants: dict[str, str]
    ) -> list[Effect]:
        known = self.sections.get((at, member), [])
        directions = [*directions, *known[len(directions) :]]
        self.sections[at, member] = directions
        sections: list[Section] = [
            (audio if index % 2 == 0 else video)(str(index), direction)
            for index, direction in enumerate(directions)
        ]
        self.version += 1
        text = serialize(offer(*sections, version=self.version))
        return self.rooms[at].offered(member, text, wants, FRESH)

    def _lose(self, at: int, member: str) -> list[Effect]:
        effects: list[Effect] = []
        for peer in sorted(self.plane.peers):
            if self.peers[peer] == at and self.owners[peer] == member:
                self.plane.forget(peer)
                self.sections.pop((at, member), None)
                effects += self.rooms[at].disconnected(peer)
        return effects

    def note_peers(self, at: int, member: str, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Do) and isinstance(effect.command, AddPeer):
                self.peers[effect.command.peer] = at
                self.owners[effect.command.peer] = member


@patient
@given(ACTS)
def test_no_packet_finds_a_way_from_room_to_room_and_nothing_outlives_its_member(
    acts: list[tuple[int, str, object]],
) -> None:
    house = House()
    for at, member, act in [*A_CALL, *acts]:
        effects = house.act(at, member, act)
        house.note_peers(at, member, effects)
        house.plane.carry_out(effect.command for effect in effects if isinstance(effect, Do))
        for leg in house.plane.legs.values():
            track = house.plane.tracks[leg.track]
            assert house.peers[leg.peer] == house.peers[track.peer]
            assert leg.peer != track.peer
        for room in house.rooms:
            assert {track.member for track in room.tracks} <= set(room.members)
            assert len(room.members) <= 2
            assert len(room.tracks) <= 4
        assert len(house.plane.tracks) == sum(len(room.tracks) for room in house.rooms)
        for effect in effects:
            assert not isinstance(effect, Ended) or member not in effect.to
    for at, room in enumerate(house.rooms):
        for member in room.members:
            effects = house.act(at, member, "dismiss")
            house.plane.carry_out(effect.command for effect in effects if isinstance(effect, Do))
    assert (house.plane.peers, house.plane.tracks, house.plane.legs) == (set(), {}, {})
