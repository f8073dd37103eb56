"""Serves rooms: takes their seats, follows their ledgers, and carries out what they want."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from callcluster_common import redis_keys
from callcluster_common.bus import SEAT_MS, Bus, RoomState, UnavailableError
from callcluster_common.bus.posts import ToSfu, unpack

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
from callcluster_sfu.rooms import frames
from callcluster_sfu.rooms.held import Held
from callcluster_sfu.rooms.outgoing import Outgoing
from callcluster_sfu.rooms.says import Answer, Refusal
from callcluster_sfu.rooms.seat import Effect, Offered, Seat
from callcluster_sfu.rooms.transports import Plane, Transports
from callcluster_sfu.sdp.values import IceCredentials

log = logging.getLogger(__name__)

CHECK_SECONDS = 15.0
"""How often a room is compared with its ledger, and its members are told again of what there is.

What was pushed or posted may be lost, and then there may be nothing after it that tells.
"""
AGAIN_SECONDS = 1.0
"""After a comparison that has not helped."""
MOST_WAITING = 256
"""Posts of one room that wait for its ledger."""
SPACE_FOR = 2
"""Participants: with less space than for a call's first two no seat is taken."""
LOADED_SECONDS = 0.3
"""By how much a full SFU lets an empty one go first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of this process."""

    rooms: int
    participants: int


class Service:
    """All rooms of this process. Implements what a bus calls."""

    def __init__(self, bus: Bus, plane: Plane, *, pod: str, limits: Limits, counts: Counts) -> None:
        self.policy: Policy | None = None
        """Of rooms to come; without one no seat is taken."""
        self.draining = False
        self._bus = bus
        self._transports = Transports(plane)
        self._pod = pod
        self._limits = limits
        self._counts = counts
        self._numbers = Numbers(secrets.randbelow(2**32 - 1))
        self._uids = itertools.count(1)
        self._rooms: dict[str, Held] = {}
        self._outgoing = Outgoing(bus)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def rooms(self) -> int:
        """Seats that this SFU has."""
        return sum(held.seated for held in self._rooms.values())

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
        return not self._rooms and not self._tasks

    # Called by the bus

    def on_wanted(self, room: str) -> None:
        """See the bus: a room looks for an SFU."""
        if self.policy is None or self.draining or room in self._rooms or not self._has_space():
            return
        held = self._rooms[room] = Held(redis_keys.named(room), self._new_seat(self.policy))
        self._spawn(self._take(held))

    def on_entry(self, room: str, epoch: str, off: int, line: bytes) -> None:
        """See the bus: a line of a room that is served."""
        held = self._rooms.get(room)
        if held is not None:
            self._perform(held, held.seat.receive(epoch, off, line))
            self._followed(held)

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
        held = self._rooms.get(post.room)
        if held is None or not held.seated or post.claim != held.seat.claim:
            self._counts.dropped["no_seat"] += 1
        elif held.seat.speaks_for(post.from_claim, post.sid):
            self._take_post(held, post)
        elif len(held.waiting) < MOST_WAITING:
            # It may have come in a moment ago; the ledger knows.
            held.waiting.append(post)
            self._mend(held)
        else:
            self._counts.dropped["crowded"] += 1

    def on_return(self, wiped: bool) -> None:
        """See the bus: with the next tick every room is compared, and its members are told again."""
        for held in self._rooms.values():
            held.check_at = 0.0

    # Called by the plane

    def live(self, track: int, encoding: int) -> None:
        """The first packet of a track's encoding came."""
        if (held := self._transports.room_of_track(track)) is not None:
            self._perform(held, held.seat.live(track, encoding))

    def disconnected(self, peer: int) -> None:
        """The plane has forgotten a transport."""
        held = self._transports.room_of(peer)
        if held is not None:
            self._transports.forget(peer)
            self._perform(held, held.seat.disconnected(peer))
            self._followed(held)

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
            self._perform(held, held.seat.reset(command.peer))

    # Time

    async def tick(self) -> None:
        """Renew the leases, and look after rooms; to be called every second."""
        now = self._loop.time()
        for held in list(self._rooms.values()):
            if held.seat.roster.epoch and now >= held.check_at:
                held.seat.repeat()
                self._outgoing.tell(held)
                self._mend(held)
        seated = [held for held in self._rooms.values() if held.seated]
        if not seated:
            return
        try:
            lost = set(await self._bus.keep_seats([(held.keys, held.seat.claim) for held in seated]))
        except UnavailableError:
            return  # media goes on; whether the seat is still ours is seen afterwards
        for held in seated:
            if held.keys.name not in lost:
                held.lost_at = None
        gone = (held for held in seated if held.keys.name in lost and held.seated and self._holds(held))
        await asyncio.gather(*(self._regain(held) for held in gone))

    def drain(self) -> None:
        """Take no more seats and give up those there are: others take them while media goes on here."""
        if self.draining:
            return
        self.draining = True
        for held in list(self._rooms.values()):
            if held.seated:
                held.seated = False
                self._spawn(self._leave(held))
                self._followed(held)

    async def stop(self) -> None:
        """Say goodbye to everybody, and leave the seats."""
        self.draining = True
        for held in list(self._rooms.values()):
            self._let_go(held)
        while self._tasks:
            await asyncio.wait(self._tasks)

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
            self._forget(held)
            return
        held.seated = True
        if self.draining:
            self._let_go(held)
            return
        self._counts.seats["taken"] += 1
        held.check_at = self._loop.time() + CHECK_SECONDS
        self._perform(held, held.seat.load(state))
        self._followed(held)

    async def _regain(self, held: Held) -> None:
        """The lease is gone: take the seat again, unless another has it; then go, but not at once.

        For a while members may still be on their way to the other SFU; and a room that Redis has lost can
        be sat in only when signaling has brought it back.
        """
        now = self._loop.time()
        if held.lost_at is None:
            held.lost_at = now
        try:
            state = await self._bus.take_seat(held.keys, held.seat.claim, self._uid())
        except UnavailableError:
            return
        if not self._holds(held) or not held.seated:
            return
        if state is not None:
            held.lost_at = None
            self._counts.seats["regained"] += 1
            held.seat.repeat()
            self._perform(held, held.seat.load(state))
            self._outgoing.tell(held)
            self._followed(held)
        elif now - held.lost_at >= SEAT_MS / 1000:
            self._counts.seats["lost"] += 1
            held.seated = False
            self._let_go(held)

    async def _leave(self, held: Held) -> None:
        self._counts.seats["left"] += 1
        try:
            await self._bus.leave_seat(held.keys, held.seat.claim, self._uid())
        except UnavailableError:
            pass  # the lease runs out

    def _let_go(self, held: Held) -> None:
        """Serve the room no more; its seat is left if it was held."""
        self._perform(held, held.seat.close())
        self._forget(held)
        if held.seated:
            held.seated = False
            self._spawn(self._leave(held))

    def _forget(self, held: Held) -> None:
        if self._holds(held):
            del self._rooms[held.keys.name]
            self._bus.unsubscribe(held.keys)

    def _holds(self, held: Held) -> bool:
        return self._rooms.get(held.keys.name) is held

    # Ledgers

    def _followed(self, held: Held) -> None:
        """The copy of a room has changed: see whether it is complete, and still of use."""
        roster = held.seat.roster
        if not roster.epoch or not self._holds(held):
            return
        if roster.behind:
            self._mend(held)
        elif not roster.claims or (not held.seated and not held.seat.connected):
            self._let_go(held)

    def _mend(self, held: Held) -> None:
        """Compare a room with its ledger, one comparison at a time."""
        held.check_at = self._loop.time() + CHECK_SECONDS
        if not held.mending:
            held.mending = True
            self._spawn(self._compare(held))

    async def _compare(self, held: Held) -> None:
        seat = held.seat
        try:
            history = await self._bus.history(held.keys, seat.roster.off)
            if history.epoch == seat.roster.epoch and history.entries is not None:
                self._perform(held, seat.catch_up(history.entries))
            elif (state := await self._bus.state(held.keys)) is not None:
                self._perform(held, seat.load(state))
            elif not seat.connected:
                self._let_go(held)  # the room is gone, and nobody is left
        except UnavailableError:
            held.check_at = self._loop.time() + AGAIN_SECONDS
        finally:
            held.mending = False
        if seat.roster.behind:
            held.check_at = self._loop.time() + AGAIN_SECONDS
        waiting, held.waiting = held.waiting, []
        for post in waiting:
            if held.seated and held.seat.speaks_for(post.from_claim, post.sid):
                self._take_post(held, post)
            else:
                self._counts.dropped["no_member"] += 1
        if not seat.roster.behind:
            self._followed(held)

    # Effects

    def _take_post(self, held: Held, post: ToSfu) -> None:
        request = frames.request(post)
        try:
            if isinstance(request, Offered):
                effects = held.seat.offered(request)
            else:
                effects = held.seat.wished(request.sid, request.wishes)
        except Exception as error:
            # Members write the descriptions: a mistake of ours that one finds must cost nobody else a call.
            # Its message may quote the description, so that it is not logged.
            self._counts.failures += 1
            log.error("a request could not be handled", extra={"fields": {"error": type(error).__name__}})
            effects = held.seat.begin_anew(post.sid)
        self._perform(held, effects)

    def _perform(self, held: Held, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Answer():
                    self._counts.offers["answered"] += 1
                    self._outgoing.say(held, effect)
                case Refusal():
                    self._counts.offers["refused"] += 1
                    self._outgoing.say(held, effect)
                case _:
                    self._transports.order(held, effect)
        self._outgoing.tell(held)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._counts.failures += 1
            log.error("background work failed", exc_info=error)


def _fresh_credentials() -> IceCredentials:
    """RFC 8445 section 5.3: at least 24 and 128 bits of randomness."""
    return IceCredentials(secrets.token_hex(8), secrets.token_hex(16))
