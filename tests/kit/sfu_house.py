"""The SFU's service on a bus in memory: the plane keeps books, and the signaling pod is the test."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import pytest
from callcluster_common import redis_keys
from callcluster_common.bus import Head, Person, Ticket, make_line
from callcluster_common.bus import memory as memory_bus
from callcluster_common.bus.memory import MemoryBus
from callcluster_common.bus.posts import FromSfu, ToSfu, pack, unpack
from callcluster_common.messages.client import Layout, Offer, OfferData
from callcluster_common.messages.server import AnswerRelay, Sfu, SfuRefused
from callcluster_common.messages.types import SFU
from callcluster_common.redis_keys import RoomKeys
from callcluster_sfu.metrics import Counts
from callcluster_sfu.negotiation import Command
from callcluster_sfu.rooms.service import Limits, Service
from callcluster_sfu.sdp import serialize
from callcluster_sfu.sdp.values import Direction, Section

from kit.eventually import eventually
from kit.sfu_offers import POLICY, offer
from kit.sfu_plane import PlaneBooks
from kit.sfu_room import sid_of

ROOM = redis_keys.room("a room of the tests")
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

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, own: bool = False) -> None:
        self.clock = 1_000_000
        self._later = 0.0
        loop = asyncio.get_running_loop()
        real = loop.time
        monkeypatch.setattr(loop, "time", lambda: real() + self._later)
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
            own=own,
        )
        self.service.policy = POLICY
        self.said: dict[str, list[AnswerRelay | SfuRefused | Sfu]] = {}
        self.pods: Counter[str] = Counter()
        self.claim = ""

    def _posted(self, pod: str, data: bytes) -> None:
        self.pods[pod] += 1
        post = unpack(data)
        assert isinstance(post, FromSfu)
        if post.room != ROOM.name:
            return
        self.claim = post.claim
        for sid, frame in post.parcels:
            self.said.setdefault(sid, []).append(_frame.decode(frame))

    async def join(self, name: str, room: RoomKeys = ROOM) -> None:
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
        await self.bus.join(room, ticket)

    async def leave(self, name: str) -> None:
        sid = sid_of(name)
        event = msgspec.json.encode({"t": "ev", "d": {"kind": "left", "sid": sid, "reason": "kicked"}})
        assert await self.bus.remove(ROOM, sid, "", make_line(Head("pod.9"), event), 0)

    async def settle(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)

    def later(self, seconds: float) -> None:
        """Time passes in the event loop; leases are untouched."""
        self._later += seconds

    async def tick(self) -> None:
        """A second's work, and what it has begun."""
        await self.service.tick()
        await self.settle()

    async def seated(self, *names: str) -> None:
        for name in names:
            await self.join(name)
        self.service.on_wanted(ROOM.name)
        await eventually(lambda: self.service.rooms == 1)
        await self.settle()

    async def seat(self, room: RoomKeys = ROOM) -> str:
        """The claim of who serves a room, as the ledger has it."""
        state = await self.bus.state(room)
        assert state is not None
        return state.seat

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
