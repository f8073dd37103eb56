"""Serves rooms: takes their seats and keeps them, and hands on what the bus and the plane say."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from dataclasses import dataclass

from callcluster_common import redis_keys
from callcluster_common.bus import SEAT_MS, Bus, RoomState, UnavailableError
from callcluster_common.bus.posts import ToSfu, unpack
from callcluster_common.rates import Bucket

from callcluster_sfu.metrics import Counts
from callcluster_sfu.negotiation import (
    AddLeg,
    AddPeer,
    AddTrack,
    Command,
    Numbers,
    Policy,
    RestartIce,
    SetExtensions,
)
from callcluster_sfu.room import Room
from callcluster_sfu.rooms.held import Held
from callcluster_sfu.rooms.outgoing import NEWS
from callcluster_sfu.rooms.rooms import CHECK_SECONDS, Rooms
from callcluster_sfu.rooms.seat import Seat
from callcluster_sfu.rooms.transports import Plane, Transports
from callcluster_sfu.rooms.work import Work
from callcluster_sfu.sdp.values import IceCredentials

log = logging.getLogger(__name__)

SPACE_FOR = 2
"""Participants: with less space than for a call's first two no seat is taken."""
LOADED_SECONDS = 0.3
"""By how much a full SFU lets an empty one go first."""
MOVE_SECONDS = 60.0
"""How long members are still served whose room has lost its seat: they are on their way to another SFU."""
UNUSED_SECONDS = 60.0
"""How long a seat is kept that is of no use, since fewer than two members have a transport."""
REST_SECONDS = 300.0
"""How long a room that had no use for its seat is not heard when it wants an SFU."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of this process."""

    rooms: int
    participants: int


class Service:
    """All rooms of this process. Implements what a bus calls."""

    def __init__(
        self, bus: Bus, plane: Plane, *, pod: str, limits: Limits, counts: Counts, own: bool = False
    ) -> None:
        """Begin with none.

        Args:
            bus: where the rooms' ledgers are.
            plane: takes orders.
            pod: opaque id of this process; the claims of its seats begin with it.
            limits: of this process.
            counts: metrics.
            own: whether it serves one room alone, for which it keeps the seat even when it is of no use.
        """
        self.policy: Policy | None = None
        """Of rooms to come; without one no seat is taken."""
        self.draining = False
        self._bus = bus
        self._pod = pod
        self._limits = limits
        self._own = own
        self._counts = counts
        self._numbers = Numbers(secrets.randbelow(2**32 - 1))
        self._uids = itertools.count(1)
        self._transports = Transports(plane)
        self._work = Work(counts)
        self._rooms = Rooms(bus, self._transports, counts, self._work, self._uid)
        self._resting: dict[str, float] = {}
        """Rooms that had no use for a seat, and until when they are not heard."""
        self._loop = asyncio.get_running_loop()

    @property
    def rooms(self) -> int:
        """Seats that this SFU has."""
        return sum(held.seated for held in self._rooms)

    @property
    def participants(self) -> int:
        """Members with a transport."""
        return len(self._transports)

    @property
    def tracks(self) -> int:
        """What they publish."""
        return self._transports.tracks

    @property
    def idle(self) -> bool:
        """Whether nobody is served, and nothing is about to begin."""
        return not self._rooms and self._work.idle

    # Called by the bus

    def on_wanted(self, room: str) -> None:
        """See the bus: a room looks for an SFU."""
        if self.policy is None or self.draining or self._rooms.named(room) or not self._has_space():
            return
        now = self._loop.time()
        if self._resting.get(room, now) > now:
            return
        seat = self._new_seat(self.policy)
        held = Held(redis_keys.named(room), seat, Bucket(NEWS, now), now)
        self._rooms.hold(held)
        self._work.start(self._take(held))

    def on_entry(self, room: str, epoch: str, off: int, line: bytes) -> None:
        """See the bus: a line of a room that is served."""
        if (held := self._rooms.named(room)) is not None:
            with self._rooms.answering_for(held):
                self._rooms.perform(held, held.seat.receive(epoch, off, line))
                self._rooms.followed(held)

    def on_stall(self, room: str, line: bytes) -> None:
        """See the bus: an SFU publishes no lines."""

    def on_post(self, data: bytes) -> None:
        """See the bus: an offer or a layout."""
        try:
            post = unpack(data)
        except ValueError:
            post = None
        if not isinstance(post, ToSfu):
            self._counts.dropped["malformed"] += 1
            return
        held = self._rooms.named(post.room)
        if held is None or not held.seated or post.claim != held.seat.claim:
            self._counts.dropped["no_seat"] += 1
            return
        with self._rooms.answering_for(held):
            self._rooms.take_post(held, post)

    def on_return(self, wiped: bool) -> None:
        """See the bus: with the next tick every room is compared, and its members are told again."""
        for held in self._rooms:
            held.check_at = 0.0

    # Called by the plane

    def live(self, track: int, encoding: int) -> None:
        """The first packet of a track's encoding came."""
        if (held := self._transports.room_of_track(track)) is not None:
            with self._rooms.answering_for(held):
                self._rooms.perform(held, held.seat.live(track, encoding))

    def disconnected(self, peer: int) -> None:
        """The plane has forgotten a transport."""
        if (held := self._transports.room_of(peer)) is not None:
            self._transports.forget(peer)
            with self._rooms.answering_for(held):
                self._rooms.perform(held, held.seat.disconnected(peer))
                self._rooms.followed(held)

    def refused(self, command: Command, why: str) -> None:
        """The plane did not carry out a command."""
        self._counts.refused[why] += 1
        # Unknown names are those of a transport that ended meanwhile, of which news are on their way.
        if why == "unknown-name" or not isinstance(
            command, AddPeer | AddTrack | AddLeg | RestartIce | SetExtensions
        ):
            return
        log.warning("a transport begins anew: the plane refused its order", extra={"fields": {"why": why}})
        if (held := self._transports.room_of(command.peer)) is not None:
            with self._rooms.answering_for(held):
                self._rooms.perform(held, held.seat.reset(command.peer))

    # Time

    async def tick(self) -> None:
        """Look after the rooms, and renew their leases; to be called every second.

        Nothing that takes longer than to renew is waited for: on its account no lease may lapse.
        """
        now = self._loop.time()
        self._resting = {room: until for room, until in self._resting.items() if until > now}
        for held in self._rooms:
            with self._rooms.answering_for(held):
                self._look_after(held, now)
        seated = [held for held in self._rooms if held.seated]
        if not seated:
            return
        try:
            lost = set(await self._bus.keep_seats([(held.keys, held.seat.claim) for held in seated]))
        except UnavailableError:
            return  # media goes on; whether the seat is still ours is seen afterwards
        for held in seated:
            if held.keys.name not in lost:
                held.lost_at = None
            elif held.seated and not held.regaining:
                held.regaining = True
                self._work.start(self._regain(held))

    def _look_after(self, held: Held, now: float) -> None:
        seat = held.seat
        if not seat.roster.epoch:
            return  # its seat is about to be taken
        self._rooms.perform(held, seat.answer_late())
        seat.remind()
        if now >= held.check_at:
            seat.repeat()
            self._rooms.mend(held)
        if seat.connected > 1:
            held.used_at = now
        elif held.seated and not self._own and now - held.used_at >= UNUSED_SECONDS:
            self._counts.seats["unused"] += 1
            self._resting[held.keys.name] = now + REST_SECONDS
            self._rooms.let_go(held)

    def drain(self) -> None:
        """Take no more seats and give up those there are: others take them while media goes on here."""
        if self.draining:
            return
        self.draining = True
        for held in self._rooms:
            self._rooms.leave(held)
            self._rooms.followed(held)

    async def stop(self) -> None:
        """Say goodbye to everybody, and leave the seats."""
        self.draining = True
        for held in self._rooms:
            with self._rooms.answering_for(held):
                self._rooms.let_go(held)
        await self._work.finish()

    # Seats

    def _has_space(self) -> bool:
        return (
            len(self._rooms) < self._limits.rooms
            and len(self._transports) + SPACE_FOR <= self._limits.participants
        )

    def _uid(self) -> str:
        return f"{self._pod}.{next(self._uids)}"

    def _new_seat(self, policy: Policy) -> Seat:
        return Seat(
            self._uid(),
            Room(policy, self._numbers),
            fresh=_fresh_credentials,
            session=lambda: secrets.randbelow(2**62),
            may_connect=lambda: len(self._transports) < self._limits.participants,
            now=self._loop.time,
        )

    async def _take(self, held: Held) -> None:
        await asyncio.sleep(LOADED_SECONDS * len(self._transports) / self._limits.participants)
        state: RoomState | None = None
        try:
            await self._bus.subscribe(held.keys)
            state = await self._bus.take_seat(held.keys, held.seat.claim, self._uid())
        except UnavailableError:
            pass  # who wants an SFU asks again
        if state is None:
            self._rooms.forget(held)
            return
        held.seated = True
        if self.draining:
            self._rooms.let_go(held)
            return
        self._counts.seats["taken"] += 1
        held.used_at = self._loop.time()
        held.check_at = held.used_at + CHECK_SECONDS
        self._serve(held, state)

    async def _regain(self, held: Held) -> None:
        """The lease is gone: take the seat again, unless another has it; then go, but not at once.

        Members may still be on their way to the other SFU; and a room that Redis has lost can be sat in
        only when signaling has brought it back.
        """
        now = self._loop.time()
        if held.lost_at is None:
            held.lost_at = now
        try:
            state = await self._bus.take_seat(held.keys, held.seat.claim, self._uid())
        except UnavailableError:
            return
        finally:
            held.regaining = False
        if not held.seated:
            # It was given up meanwhile, by a drain for example.
            if state is not None:
                await self._rooms.vacate(held)
        elif state is not None:
            held.lost_at = None
            self._counts.seats["regained"] += 1
            held.seat.repeat()
            self._serve(held, state)
        elif now - held.lost_at >= (MOVE_SECONDS if held.seat.connected else SEAT_MS / 1000):
            self._counts.seats["lost"] += 1
            held.seated = False
            self._rooms.let_go(held)

    def _serve(self, held: Held, state: RoomState) -> None:
        with self._rooms.answering_for(held):
            self._rooms.perform(held, held.seat.load(state))
            self._rooms.followed(held)


def _fresh_credentials() -> IceCredentials:
    """RFC 8445 section 5.3: at least 24 and 128 bits of randomness."""
    return IceCredentials(secrets.token_hex(8), secrets.token_hex(16))
