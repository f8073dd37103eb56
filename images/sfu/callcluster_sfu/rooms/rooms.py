"""The rooms in this process's hands: does what they want, and keeps them in step with their ledgers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from callcluster_common.bus import Bus, UnavailableError
from callcluster_common.bus.posts import ToSfu

from callcluster_sfu.metrics import Counts
from callcluster_sfu.rooms import frames
from callcluster_sfu.rooms.held import Held
from callcluster_sfu.rooms.outgoing import Outgoing
from callcluster_sfu.rooms.says import Answer, Refusal
from callcluster_sfu.rooms.seat import Effect, Offered
from callcluster_sfu.rooms.transports import Transports
from callcluster_sfu.rooms.work import Work

CHECK_SECONDS = 15.0
"""How often a room is compared with its ledger, and its members are told again of what there is.

What was pushed or posted may be lost, and then there may be nothing after it that tells.
"""
AGAIN_SECONDS = 1.0
"""After a comparison that has not helped."""
MOST_WAITING = 256
"""Posts of one room that wait for its ledger."""


class Rooms:
    """All rooms, by opaque name."""

    def __init__(
        self, bus: Bus, transports: Transports, counts: Counts, work: Work, uid: Callable[[], str]
    ) -> None:
        """Begin with none; ``uid`` makes unique ids for what is published."""
        self._bus = bus
        self._transports = transports
        self._counts = counts
        self._work = work
        self._uid = uid
        self._rooms: dict[str, Held] = {}
        self._outgoing = Outgoing(bus, self.answering_for)
        self._loop = asyncio.get_running_loop()

    def __iter__(self) -> Iterator[Held]:
        return iter(list(self._rooms.values()))

    def __len__(self) -> int:
        return len(self._rooms)

    def named(self, name: str) -> Held | None:
        """The room of this name, if it is in this process's hands."""
        return self._rooms.get(name)

    def hold(self, held: Held) -> None:
        """Begin with a room."""
        self._rooms[held.keys.name] = held

    @contextmanager
    def answering_for(self, held: Held) -> Iterator[None]:
        """A mistake of ours costs the room in which it is made its seat, and no other room anything.

        What was agreed there may be half done: its transports end, and another seat begins anew.
        """
        try:
            yield
        except Exception as error:
            self._work.mistake(error)
            self._transports.end(held)
            self.forget(held)
            self.leave(held)

    # Ends

    def leave(self, held: Held) -> None:
        """Give the seat up, if it was taken; the room goes on being served."""
        if held.seated:
            held.seated = False
            self._counts.seats["left"] += 1
            self._work.start(self.vacate(held))

    async def vacate(self, held: Held) -> None:
        """Tell the bus that the seat is free."""
        try:
            await self._bus.leave_seat(held.keys, held.seat.claim, self._uid())
        except UnavailableError:
            pass  # the lease runs out

    def let_go(self, held: Held) -> None:
        """Serve the room no more; its seat is left if it was held."""
        self.perform(held, held.seat.close())
        self.forget(held)
        self.leave(held)

    def forget(self, held: Held) -> None:
        """It is out of this process's hands."""
        if self._rooms.get(held.keys.name) is held:
            del self._rooms[held.keys.name]
            self._bus.unsubscribe(held.keys)

    # Ledgers

    def followed(self, held: Held) -> None:
        """The copy of a room has changed: see whether it is complete, and still of use."""
        roster = held.seat.roster
        if not roster.epoch or self._rooms.get(held.keys.name) is not held:
            return
        if roster.behind:
            self.mend(held)
        elif not roster.claims or (not held.seated and not held.seat.connected):
            self.let_go(held)

    def mend(self, held: Held) -> None:
        """Compare a room with its ledger, one comparison at a time."""
        held.check_at = self._loop.time() + CHECK_SECONDS
        if not held.mending:
            held.mending = True
            self._work.start(self._compare(held))

    async def _compare(self, held: Held) -> None:
        seat = held.seat
        with self.answering_for(held):
            try:
                await self._catch_up(held)
            except UnavailableError:
                held.check_at = self._loop.time() + AGAIN_SECONDS
            finally:
                held.mending = False
            if seat.roster.behind:
                held.check_at = self._loop.time() + AGAIN_SECONDS
            waiting, held.waiting = held.waiting, []
            for post in waiting:
                if held.seated and seat.speaks_for(post.from_claim, post.sid):
                    self._heed(held, post)
                else:
                    self._counts.dropped["no_member"] += 1
            if not seat.roster.behind:
                self.followed(held)

    async def _catch_up(self, held: Held) -> None:
        seat = held.seat
        history = await self._bus.history(held.keys, seat.roster.off)
        if history.epoch == seat.roster.epoch and history.entries is not None:
            self.perform(held, seat.catch_up(history.entries))
        elif (state := await self._bus.state(held.keys)) is not None:
            self.perform(held, seat.load(state))
        elif not seat.connected:
            self.let_go(held)  # the room is gone, and nobody is left

    # What members ask

    def take_post(self, held: Held, post: ToSfu) -> None:
        """A member asks for something: heed it, unless the ledger says that it is none."""
        if held.seat.speaks_for(post.from_claim, post.sid):
            self._heed(held, post)
        elif len(held.waiting) < MOST_WAITING:
            # It may have come in a moment ago; the ledger knows.
            held.waiting.append(post)
            self.mend(held)
        else:
            self._counts.dropped["crowded"] += 1

    def _heed(self, held: Held, post: ToSfu) -> None:
        request = frames.request(post)
        try:
            if isinstance(request, Offered):
                effects = held.seat.offered(request)
            else:
                effects = held.seat.wished(request.sid, request.wishes)
        except Exception as error:
            # Members write the descriptions: a mistake of ours that one finds must cost nobody else a call.
            self._work.mistake(error)
            effects = held.seat.begin_anew(post.sid)
        self.perform(held, effects)

    # Effects

    def perform(self, held: Held, effects: Iterable[Effect]) -> None:
        """Carry out what a room wants, and tell its members what they have to know by now."""
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
