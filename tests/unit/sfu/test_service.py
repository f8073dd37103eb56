"""The service on a bus in memory, with a plane that keeps books and a signaling pod that is the test."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest
from callcluster_common import redis_keys
from callcluster_common.bus import Head, Person, Ticket, make_line
from callcluster_common.bus import memory as memory_bus
from callcluster_common.bus.memory import MemoryBus
from callcluster_common.bus.posts import FromSfu, ToSfu, pack, unpack
from callcluster_common.messages.client import Layout, LayoutData, Offer, OfferData, Wish
from callcluster_common.messages.server import AnswerRelay, Sfu, SfuRefused
from callcluster_common.messages.types import SFU
from callcluster_sfu.metrics import Counts
from callcluster_sfu.negotiation import AddLeg, AddPeer, AimLeg, Command
from callcluster_sfu.rooms.service import CHECK_SECONDS, Limits, Service
from callcluster_sfu.sdp import serialize
from callcluster_sfu.sdp.values import Direction, Section
from kit.eventually import eventually
from kit.sfu_offers import POLICY, audio, offer
from kit.sfu_plane import PlaneBooks
from kit.sfu_room import sid_of

ROOM = redis_keys.room("a room of the tests")
ANN, BOB, CID = sid_of("ann"), sid_of("bob"), sid_of("cid")
_frame = msgspec.json.Decoder(AnswerRelay | SfuRefused | Sfu)


class Plane(PlaneBooks):
    """Takes one command at a time, and refuses one that it was told to."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Command] = []

    def carry_out(self, command: Command) -> None:  # type: ignore[override]
        self.commands.append(command)
        super().carry_out([command])


class House:
    """A room, its members, and what the SFU said to each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = 1_000_000
        monkeypatch.setattr(memory_bus, "_now", lambda: self.clock)
        self.bus = MemoryBus()
        monkeypatch.setattr(self.bus, "post", self._posted)
        self.plane = Plane()
        self.counts = Counts()
        self.service = Service(
            self.bus,
            self.plane,
            pod="sfu",
            limits=Limits(rooms=2, participants=3),
            counts=self.counts,
        )
        self.service.policy = POLICY
        self.said: dict[str, list[AnswerRelay | SfuRefused | Sfu]] = {}
        self.pods: Counter[str] = Counter()
        self.claim = ""

    def _posted(self, pod: str, data: bytes) -> None:
        self.pods[pod] += 1
        post = unpack(data)
        assert isinstance(post, FromSfu)
        assert post.room == ROOM.name
        self.claim = post.claim
        for sid, frame in post.parcels:
            self.said.setdefault(sid, []).append(_frame.decode(frame))

    async def join(self, name: str) -> None:
        sid, claim = sid_of(name), f"pod{name}.1"
        member = msgspec.json.encode({"sid": sid})
        event = msgspec.json.encode({"t": "ev", "d": {"kind": "joined", "member": {"sid": sid}}})
        ticket = Ticket(
            sid,
            claim,
            Person(name, name, name),
            member,
            make_line(Head(claim, sid), event),
            50,
            False,
            "epoch-1",
            claim,
            1_000,
        )
        await self.bus.join(ROOM, ticket)

    async def leave(self, name: str) -> None:
        sid = sid_of(name)
        event = msgspec.json.encode({"t": "ev", "d": {"kind": "left", "sid": sid, "reason": "kicked"}})
        assert await self.bus.remove(ROOM, sid, "", make_line(Head("pod.9"), event), 0)

    async def settle(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)

    async def seated(self, *names: str) -> None:
        for name in names:
            await self.join(name)
        self.service.on_wanted(ROOM.name)
        await eventually(lambda: self.service.rooms == 1)
        await self.settle()

    def told(self, name: str) -> Sfu:
        """What a member was told of tracks, last."""
        return [frame for frame in self.said[sid_of(name)] if isinstance(frame, Sfu)][-1]

    def post(self, name: str, frame: Offer | Layout, **changed: str) -> None:
        post = {
            "room": ROOM.name,
            "claim": self.claim,
            "sid": sid_of(name),
            "from_claim": f"pod{name}.1",
            "frame": msgspec.json.encode(frame).decode(),
            **changed,
        }
        self.service.on_post(pack(ToSfu(**post)))

    async def offer(self, name: str, seq: int, *sections: Section, **changed: str) -> None:
        wants = {
            section.mid: "t1"
            for section in sections
            if section.direction is Direction.RECVONLY and section.mid is not None
        }
        route = self.told(name).d.route if sid_of(name) in self.said else "none-yet"
        data = OfferData(serialize(offer(*sections, version=seq)), route, seq, wants)
        self.post(name, Offer(to=SFU, d=data), **changed)
        await self.settle()


@pytest.fixture
async def house(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    made = House(monkeypatch)
    await made.bus.start("sfu", made.service)
    yield made
    assert made.counts.failures == 0
    await made.service.stop()
    assert made.plane.peers == set()
    assert made.plane.tracks == {}
    assert made.plane.legs == {}


async def test_a_wanted_room_gets_its_seat_taken_and_its_members_told(house: House) -> None:
    await house.seated("ann", "bob")
    assert house.told("ann").d.tracks == []
    assert house.told("ann").d.route != house.told("bob").d.route
    assert house.claim.startswith("sfu.")
    state = await house.bus.state(ROOM)
    assert state is not None
    assert state.seat == house.claim
    assert house.pods == {"podann": 1, "podbob": 1}


async def test_offers_lead_to_transports_answers_and_news(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    (answer,) = [frame for frame in house.said[ANN] if isinstance(frame, AnswerRelay)]
    assert answer.by_sfu
    assert answer.d.published == {"0": "t1"}
    (track,) = house.told("bob").d.tracks
    assert (track.track, track.sid, track.kind, track.mid) == ("t1", ANN, "audio", "0")
    await house.offer("bob", 1, audio("0"), audio("1", Direction.RECVONLY))
    assert any(isinstance(command, AddLeg) for command in house.plane.commands)
    assert house.service.participants == 2
    assert house.service.tracks == 2


async def test_a_layout_pauses_a_track(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    await house.offer("bob", 1, audio("0", Direction.RECVONLY))
    house.post("bob", Layout(d=LayoutData({"t1": Wish(paused=True)})))
    last = house.plane.commands[-1]
    assert isinstance(last, AimLeg)
    assert last.highest is None


@pytest.mark.parametrize(
    "changed",
    [
        {"sid": sid_of("eve")},
        {"from_claim": "podann.2"},
        {"from_claim": ""},
        {"claim": "sfu.99"},
        {"room": redis_keys.room("another").name},
    ],
)
async def test_an_offer_that_is_not_a_members_own_does_nothing(
    house: House, changed: dict[str, str]
) -> None:
    await house.seated("ann", "bob")
    before = len(house.said[ANN])
    await house.offer("ann", 1, audio("0"), **changed)
    assert house.plane.commands == []
    assert len(house.said[ANN]) == before
    assert house.counts.dropped.total() == 1


async def test_rubbish_is_counted_and_dropped(house: House) -> None:
    await house.seated("ann", "bob")
    for rubbish in (b"", b"{}", b'{"type":"replaced","sid":"x","claim":"y"}'):
        house.service.on_post(rubbish)
    assert house.counts.dropped == {"malformed": 3}


async def test_who_came_a_moment_ago_is_looked_up_before_it_is_turned_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.seated("ann", "bob")
    pushed = house.service.on_entry
    monkeypatch.setattr(house.service, "on_entry", lambda *_: None)
    await house.join("cid")
    monkeypatch.setattr(house.service, "on_entry", pushed)
    await house.offer("cid", 0, audio("0"))
    # The route was a guess; what counts is that the SFU knows the member now, and says its route.
    assert house.told("cid").d.route.startswith(house.claim)
    assert house.counts.dropped.total() == 0


async def test_who_is_removed_loses_the_transport_in_the_same_tick(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    assert len(house.plane.peers) == 1
    await house.leave("ann")
    assert house.plane.peers == set()
    await house.offer("ann", 2, audio("0"))
    assert house.plane.peers == set()


async def test_an_empty_room_is_let_go_and_its_seat_left(house: House) -> None:
    await house.seated("ann")
    await house.offer("ann", 1, audio("0"))
    await house.leave("ann")
    await eventually(lambda: house.service.idle)
    state = await house.bus.state(ROOM)
    assert state is not None
    assert state.seat == ""
    assert house.plane.peers == set()


async def test_a_seat_outlasts_its_lease_while_it_is_kept(house: House) -> None:
    await house.seated("ann", "bob")
    for _ in range(10):
        house.clock += 1_000
        await house.service.tick()
    assert await house.bus.take_seat(ROOM, "other.1", "other.2") is None
    assert house.counts.seats == {"taken": 1}


async def test_a_seat_that_was_cleared_is_taken_again_with_its_transports(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    house.clock += 6_000
    await house.bus.clear_seats([ROOM], "pod.5")
    await house.service.tick()
    assert house.counts.seats["regained"] == 1
    assert len(house.plane.peers) == 1
    state = await house.bus.state(ROOM)
    assert state is not None
    assert state.seat == house.claim


async def test_a_seat_that_another_took_is_given_up_after_a_while(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    house.clock += 6_000
    assert await house.bus.take_seat(ROOM, "other.1", "other.2") is not None
    await house.service.tick()
    assert len(house.plane.peers) == 1, "members are still on their way to the other"
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now + 6)
    await house.service.tick()
    assert house.plane.peers == set()
    assert house.service.idle
    state = await house.bus.state(ROOM)
    assert state is not None
    assert state.seat == "other.1"


async def test_a_drain_gives_up_the_seats_and_goes_on_forwarding(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    (peer,) = house.plane.peers
    house.service.drain()
    await house.settle()
    state = await house.bus.state(ROOM)
    assert state is not None
    assert state.seat == ""
    assert house.plane.peers == {peer}
    assert not house.service.idle
    house.service.on_wanted(ROOM.name)
    await house.settle()
    assert house.service.rooms == 0, "another takes it"
    house.plane.forget(peer)
    house.service.disconnected(peer)
    assert house.service.idle


async def test_a_drain_still_cuts_off_who_is_removed(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    await house.offer("bob", 1, audio("0"))
    house.service.drain()
    await house.leave("ann")
    assert len(house.plane.peers) == 1


async def test_a_transport_whose_order_the_plane_refused_begins_anew(house: House) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    route = house.told("ann").d.route
    added = next(command for command in house.plane.commands if isinstance(command, AddPeer))
    house.service.refused(added, "unknown-name")
    await house.settle()
    assert house.told("ann").d.route == route, "news of its end are on their way"
    house.plane.tracks.clear()
    house.service.refused(added, "too-many")
    await house.settle()
    assert house.told("ann").d.route != route
    assert house.service.participants == house.service.tracks == 0


async def test_a_mistake_of_ours_that_a_member_finds_costs_that_member_alone(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    await house.offer("bob", 1, audio("0"))
    route = house.told("ann").d.route

    def mistake(*_: object, **__: object) -> None:
        raise KeyError("192.0.2.1")

    with monkeypatch.context() as patch:
        patch.setattr("callcluster_sfu.room.room.negotiate", mistake)
        await house.offer("ann", 2, audio("0"))
    assert house.told("ann").d.route != route
    assert len(house.plane.peers) == 1
    assert house.told("bob").d.tracks == []
    await house.offer("ann", 1, audio("0"))
    assert len(house.plane.peers) == 2
    assert house.counts.failures == 1
    assert "192.0.2.1" not in caplog.text
    house.counts.failures = 0


async def test_no_more_rooms_and_participants_than_the_limits(house: House) -> None:
    await house.seated("ann", "bob", "cid", "dan")
    for name in ("ann", "bob", "cid"):
        await house.offer(name, 1, audio("0"))
    await house.offer("dan", 1, audio("0"))
    assert isinstance(house.said[sid_of("dan")][-1], SfuRefused)
    assert len(house.plane.peers) == 3
    house.service.on_wanted(redis_keys.room("another").name)
    await house.settle()
    assert house.service.rooms == 1


async def test_no_seat_is_taken_before_clients_could_be_told_where_to_go(house: House) -> None:
    house.service.policy = None
    await house.join("ann")
    house.service.on_wanted(ROOM.name)
    assert house.service.idle


async def test_after_an_outage_everybody_is_told_again(house: House) -> None:
    await house.seated("ann", "bob")
    await house.service.tick()
    await house.settle()
    assert len(house.said[ANN]) == 1
    house.service.on_return(False)
    await house.service.tick()
    await house.settle()
    assert len(house.said[ANN]) == 2


async def test_what_was_lost_on_the_way_is_told_again_and_caught_up_with(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.seated("ann", "bob")
    await house.offer("ann", 1, audio("0"))
    monkeypatch.setattr(house.service, "on_entry", lambda *_: None)
    await house.leave("ann")
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now + CHECK_SECONDS)
    before = len(house.said[BOB])
    await house.service.tick()
    await house.settle()
    assert house.plane.peers == set()
    assert len(house.said[BOB]) > before
    assert house.told("bob").d.tracks == []
