"""The rooms that this pod has members in: subscribes to them, delivers, catches up and rebuilds."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
from callcluster_common import redis_keys, room_names
from callcluster_common.bus import RENEW_SECONDS, Bus, Entry, Occupant, RoomState, UnavailableError
from callcluster_common.messages import server
from callcluster_common.messages.types import CloseCode
from callcluster_common.redis_keys import RoomKeys

from callcluster_signaling.answers import encode
from callcluster_signaling.links import Link, framed
from callcluster_signaling.metrics import Counts
from callcluster_signaling.room import Deliver, Evict, Outcome, Room

log = logging.getLogger(__name__)

GAP_SECONDS = 0.2
"""How long a missing line may be on its way before the history is asked."""
RESTORE_SPREAD_SECONDS = 1.0
SEATS_SECONDS = 1.0
"""How often to look whether the SFUs of this pod's rooms are still there."""
SEATS_PATIENCE_SECONDS = 3.0
"""What SFUs get after an outage, over which their leases may have run out, before others are called."""


class Rooms:
    """Registry of room copies, by opaque Redis name."""

    def __init__(
        self,
        bus: Bus,
        salt: bytes,
        counts: Counts,
        links: dict[str, Link],
        *,
        uid: Callable[[], str],
        evict: Callable[[Link, Evict], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        record: Callable[[list[Link]], Coroutine[Any, Any, None]],
        keep_ms: int,
        sfu_of: Callable[[Room], str],
    ) -> None:
        """Start empty.

        Args:
            bus: where rooms live.
            salt: of the rooms' opaque names in logs and reports.
            counts: metrics.
            links: the pod's sessions by sid.
            uid: makes unique ids.
            evict: called for a local member that is out of its room.
            spawn: runs something in the background.
            record: records sessions again whose record was lost with the room.
            keep_ms: how long the place of a member without a socket is kept.
            sfu_of: by what name a room's own SFU knows it; empty where any may serve it.
        """
        self._bus = bus
        self._salt = salt
        self._counts = counts
        self._links = links
        self._uid = uid
        self._evict = evict
        self._spawn = spawn
        self._record = record
        self._keep_ms = keep_ms
        self._sfu_of = sfu_of
        self._rooms: dict[str, Room] = {}
        self._users: dict[str, int] = {}
        self._subscribed: dict[str, asyncio.Task[None]] = {}
        self._behind: dict[str, tuple[float, int]] = {}
        self._renew_at: dict[str, float] = {}
        self._seats_due = 0.0
        self._patient_until = 0.0
        self._mending: set[str] = set()
        self._afterwards: dict[str, list[Callable[[], None]]] = {}

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))

    def named(self, name: str) -> Room | None:
        """The room with this opaque Redis name, if somebody here is in it."""
        return self._rooms.get(name)

    def __len__(self) -> int:
        return len(self._rooms)

    def opaque(self, room_id: str) -> str:
        """The name of a room in logs, reports and directives."""
        return room_names.room_key(self._salt, room_id)

    async def enter(self, room_id: str) -> Room:
        """Subscribe to a room and hold it until :meth:`release`.

        Raises:
            UnavailableError: the bus is away; nothing is held.
        """
        keys = redis_keys.room(room_id)
        room = self._rooms.get(keys.name)
        if room is None:
            room = self._rooms[keys.name] = Room(keys, room_id, self.opaque(room_id))
            self._users[keys.name] = 0
            self._subscribed[keys.name] = asyncio.ensure_future(self._bus.subscribe(keys))
            self._renew_at[keys.name] = asyncio.get_running_loop().time() + RENEW_SECONDS * random.random()  # noqa: S311
        self._users[keys.name] += 1
        try:
            await asyncio.shield(self._subscribed[keys.name])
        except BaseException:
            self.release(room)
            raise
        return room

    def release(self, room: Room) -> None:
        """A member left, or could not come in."""
        name = room.keys.name
        self._users[name] -= 1
        if self._users[name]:
            return
        for table in (self._rooms, self._users, self._behind, self._renew_at):
            table.pop(name, None)
        subscribed = self._subscribed.pop(name)
        subscribed.cancel()
        self._bus.unsubscribe(room.keys)

    def holds(self, room: Room) -> bool:
        """Whether somebody still uses this copy: replies of the bus may come after the last one left."""
        return self._rooms.get(room.keys.name) is room

    # From the bus

    def on_entry(self, name: str, epoch: str, off: int, line: bytes) -> None:
        """A pushed line."""
        room = self._rooms.get(name)
        if room is None:
            return
        self.deliver(room, room.receive(epoch, off, line))
        if room.lost_epoch:
            self.mend(room)
        elif room.told > room.off:
            self.expect(room)

    def on_stall(self, name: str, line: bytes) -> None:
        """A line of this pod waits for the bus."""
        room = self._rooms.get(name)
        if room is not None:
            self.deliver(room, room.give_early(line))

    def deliver(self, room: Room, outcomes: list[Outcome]) -> None:
        """Carry out what a room wants."""
        for outcome in outcomes:
            if isinstance(outcome, Deliver):
                self._counts.delivered += len(outcome.sids)
                data = framed(outcome.frame)
                for sid in outcome.sids:
                    link = self._links.get(sid)
                    if link is not None and link.room is room:
                        link.write(data)
            elif isinstance(outcome, Evict):
                link = self._links.get(outcome.sid)
                if link is not None and link.room is room:
                    self._evict(link, outcome)
            else:
                self._bus.want(room.keys, self._sfu_of(room))

    # Repair

    def expect(self, room: Room) -> None:
        """Something that this copy lacks has been published: see to it that it comes."""
        if self.holds(room) and room.keys.name not in self._behind:
            self._behind[room.keys.name] = asyncio.get_running_loop().time(), room.told

    def tick(self, now: float) -> None:
        """Look after rooms that fell behind, and renew leases that are due."""
        for name, (since, target) in list(self._behind.items()):
            room = self._rooms[name]
            if room.off >= target:
                del self._behind[name]
                if room.told > room.off:
                    self.expect(room)
            elif now - since > GAP_SECONDS:
                del self._behind[name]
                self._counts.gaps += 1
                self._mend_later(room, self._catch_up(room))
        for name, due in self._renew_at.items():
            if now >= due and self._rooms[name].loaded:
                self._renew_at[name] = now + RENEW_SECONDS
                self._mend_later(self._rooms[name], self._renew(self._rooms[name]))
        if now >= self._seats_due:
            self._seats_due = now + SEATS_SECONDS
            seated = [room.keys for room in self._rooms.values() if room.sfu]
            if seated and self._bus.up:
                self._spawn(self._clear_seats(seated))

    async def _clear_seats(self, seated: list[RoomKeys]) -> None:
        try:
            await self._bus.clear_seats(seated, self._uid())
        except UnavailableError:
            pass  # due again in a second

    def check_all(self) -> None:
        """Compare every room with the bus, soon and spread out."""
        now = asyncio.get_running_loop().time()
        self._seats_due = self._patient_until = now + SEATS_PATIENCE_SECONDS
        for name in self._renew_at:
            self._renew_at[name] = now + RESTORE_SPREAD_SECONDS * random.random()  # noqa: S311

    def check(self, room: Room) -> None:
        """Compare one room with the bus now."""
        if self.holds(room):
            self._renew_at[room.keys.name] = 0.0

    def mend(self, room: Room, then: Callable[[], None] | None = None) -> None:
        """The room was lost, or rebuilt elsewhere: rebuild it, tell the members, then call ``then``."""
        if then is not None:
            self._afterwards.setdefault(room.keys.name, []).append(then)
        self._mend_later(room, self._restore(room))

    def _mend_later(self, room: Room, work: Coroutine[Any, Any, None]) -> None:
        name = room.keys.name
        if name in self._mending:
            work.close()
            return
        self._mending.add(name)

        async def run() -> None:
            try:
                await work
            except UnavailableError:
                if self.holds(room):
                    self._renew_at[name] = asyncio.get_running_loop().time() + 1.0
            finally:
                self._mending.discard(name)
                for then in self._afterwards.pop(name, ()):
                    then()

        self._spawn(run())

    async def _renew(self, room: Room) -> None:
        claims = [(sid, self._links[sid].claim) for sid in room.positions if sid in self._links]
        seen = room.off
        renewal = await self._bus.renew(room.keys, claims, self._uid(), self._keep_ms)
        if renewal.epoch != room.epoch or renewal.off < seen:
            await self._restore(room)
            return
        if renewal.off > room.off:
            # What is missing may say why a member is out: only those it says nothing of were taken over.
            await self._catch_up(room)
        if room.wants_sfu and self.holds(room):
            if asyncio.get_running_loop().time() < self._patient_until:
                self._renew_at[room.keys.name] = self._patient_until
            else:
                self._bus.want(room.keys, self._sfu_of(room))
        for sid, claim in claims:
            link = self._links.get(sid)
            if sid in renewal.lost and link is not None and link.room is room and link.claim == claim:
                self._evict(link, Evict(sid, "replaced"))

    async def _catch_up(self, room: Room) -> None:
        seen = room.off
        history = await self._bus.history(room.keys, seen)
        if history.epoch != room.epoch or history.off < seen:
            await self._restore(room)
        elif history.entries is not None:
            self.deliver(room, room.catch_up(history.entries))
        else:
            state = await self._bus.state(room.keys)
            if state is not None:
                self._adopt(room, state, [])

    async def _restore(self, room: Room) -> None:
        """Bring the room back from this pod's copy, or adopt what another pod has brought back."""
        own = {sid: self._links[sid] for sid in room.positions if sid in self._links}
        known = RoomState(
            room.epoch,
            room.off,
            room.locked,
            [
                Occupant(
                    sid,
                    encode(msgspec.structs.replace(member, blocked=[])),
                    own[sid].claim if sid in own else room.claims.get(sid, ""),
                    " ".join(member.blocked),
                )
                for sid, member in room.members.items()
            ],
        )
        people = {sid: link.session.person for sid, link in own.items()}
        state, since = await self._bus.restore(
            room.keys, known, people, room.kicked, self._uid(), self._keep_ms
        )
        if state.epoch == room.epoch:
            # Nothing was lost after all.
            return
        self._counts.restored += 1
        fields = {"room": room.opaque, "members": len(state.occupants)}
        log.warning("room rebuilt", extra={"fields": fields})
        self._adopt(room, state, since)
        await self._record([link for link in own.values() if link.room is room])

    def _adopt(self, room: Room, state: RoomState, since: list[Entry]) -> None:
        """Take over a state that no sequence of entries leads to, and give it to the members.

        ``state`` has the members of after ``since``, at the offset before it.
        """
        if state.epoch == room.epoch and state.off <= room.off:
            return
        for sid in room.positions:
            room.positions[sid] = state.off
        outcomes = room.load(state) + room.catch_up(since)
        evictions = [outcome for outcome in outcomes if isinstance(outcome, Evict)]
        # Who is out is told why; who has been brought back since then stays.
        self.deliver(room, [evicted for evicted in evictions if evicted.sid not in room.members])
        frame = encode(
            server.SnapshotFrame(
                off=state.off,
                d=server.SnapshotData(
                    epoch=state.epoch,
                    off=state.off,
                    members=list(room.members.values()),
                    locked=state.locked,
                    sfu=state.seat,
                ),
            )
        )
        for sid in list(room.positions):
            link = self._links.get(sid)
            if link is None:
                continue
            if sid in room.members:
                link.send(frame)
            else:
                self._evict(link, Evict(sid, "timeout"))
        self.deliver(room, [outcome for outcome in outcomes if not isinstance(outcome, Evict)])


def close_code(reason: str) -> tuple[CloseCode, str]:
    """How the socket of an evicted member is closed."""
    return {
        "kicked": (CloseCode.KICKED, "removed by a moderator"),
        "ended": (CloseCode.ROOM_ENDED, "the call was ended"),
        "left": (CloseCode.REPLACED, "taken over by a newer connection"),
        "replaced": (CloseCode.REPLACED, "taken over by a newer connection"),
        "timeout": (CloseCode.POSITION_LOST, "the place was given up"),
    }[reason]
