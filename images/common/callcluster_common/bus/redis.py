"""The bus of many pods: rooms are ledgers in Redis, kept by the scripts in ``lua/``.

While Redis is away, lines wait for up to five seconds, and whoever is on this pod gets them at once. A line
whose reply was lost with the connection is looked up in the room's history before it is published again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import hiredis

from callcluster_common import redis_keys
from callcluster_common.bus import (
    NO_BUS,
    SEAT_MS,
    SESSION_MS,
    Done,
    Entry,
    Head,
    History,
    Listener,
    Person,
    RefusedError,
    Renewal,
    Return,
    RoomState,
    Session,
    Ticket,
    UnavailableError,
    split_line,
)
from callcluster_common.bus.outbox import Outbox, Pending
from callcluster_common.bus.redis_connection import RedisConnection, is_another_server
from callcluster_common.bus.replies import entries, room_state, text
from callcluster_common.bus.wire import LOST, Wire
from callcluster_common.redis_keys import RoomKeys

FLUSH_SECONDS = 2.0
MAX_OFFSET_DIGITS = 16
"""Beyond that a browser could not read an offset."""


class RedisBus:
    """Implements :class:`callcluster_common.bus.Bus`."""

    def __init__(self, url: str, name: str = "bus") -> None:
        """Begin with :meth:`start`; ``name`` says what the pod is, in Redis's list of clients."""
        self._connection = RedisConnection(
            url,
            name,
            on_push=self._pushed,
            channels=self._all_channels,
            before_use=self._look_up,
            on_use=self._flush,
            on_return=lambda wiped: self._listener.on_return(wiped),
            on_tick=self._expire,
        )
        self._outbox = Outbox()
        self._applied: dict[str, int] = {}
        """Offsets of lines in doubt that turned out to be published."""
        self._flying = 0
        self._channels: dict[bytes, str] = {}
        self._calls: str | None = None
        """Channel of calls for an SFU that is listened to."""
        self._pod = ""
        self._inbox = b""
        self._listener: Listener

    @property
    def up(self) -> bool:
        """See the port."""
        return self._connection.wire is not None

    @property
    def trouble(self) -> str | None:
        """See the port."""
        return self._connection.problem

    @property
    def broken(self) -> bool:
        """See the port."""
        return self._connection.broken

    @property
    def probe_seconds(self) -> float:
        """See the port."""
        return self._connection.probe_seconds

    @property
    def queued(self) -> int:
        """See the port."""
        return len(self._outbox) + self._flying

    async def start(self, pod: str, listener: Listener) -> None:
        """See the port."""
        self._pod, self._listener = pod, listener
        self._inbox = redis_keys.pod_channel(pod).encode()
        await self._connection.start(pod)

    async def stop(self) -> None:
        """See the port."""
        deadline = time.monotonic() + FLUSH_SECONDS
        while self.queued and self.up and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        await self._connection.stop()
        for pending in self._outbox.drop():
            pending.done(NO_BUS)

    # Called by the connection

    def _all_channels(self) -> list[str]:
        extra = [self._calls] if self._calls else []
        return [channel.decode() for channel in self._channels] + extra

    async def _look_up(self, wire: Wire) -> None:
        """See what became of lines whose reply was lost."""
        self._applied.clear()
        for room in self._outbox.rooms_in_doubt():
            for number, fields in await wire.ask("XREVRANGE", room.events, "+", "-", "COUNT", 1_000):
                try:
                    head, _ = split_line(fields[5])
                except (ValueError, IndexError):
                    continue  # no line of ours
                self._applied[head.uid] = int(number.partition(b"-")[0])

    def _flush(self, wire: Wire) -> None:
        for pending in self._outbox.drop():
            if pending.in_doubt and pending.head.uid in self._applied:
                pending.done(self._applied[pending.head.uid])
            else:
                self._send(wire, pending)

    def _expire(self, now: float) -> None:
        for pending in self._outbox.expired(now):
            pending.done(NO_BUS)

    def _pushed(self, channel: bytes, payload: bytes) -> None:
        if channel == self._inbox:
            self._listener.on_post(payload)
            return
        room = self._channels.get(channel)
        if room is None:
            self._called(channel, payload)
            return
        epoch, _, rest = payload.partition(b" ")
        off, _, line = rest.partition(b" ")
        if off.isdigit() and len(off) <= MAX_OFFSET_DIGITS:
            self._listener.on_entry(room, epoch.decode(errors="replace"), int(off), line)

    def _called(self, channel: bytes, payload: bytes) -> None:
        if self._calls is None or channel != self._calls.encode():
            return
        try:
            room = redis_keys.named(text(payload))
        except ValueError:
            return  # no pod publishes that
        self._listener.on_wanted(room.name)

    # Commands

    async def _eval(self, script: str, room: RoomKeys, *arguments: bytes | str | int) -> Any:
        return await self._connection.evaluate(script, room.keys, *arguments)

    async def _session(self, script: str, sid: str, *arguments: bytes | str | int) -> Any:
        return await self._connection.evaluate(script, (redis_keys.session(sid),), *arguments)

    async def put_session(self, sid: str, secret: str, record: bytes, attempt: int) -> None:
        """See the port."""
        await self._session("put_session", sid, secret, record, attempt, self._pod, SESSION_MS)

    async def take_session(self, sid: str, secret: str, attempt: int) -> Session | None:
        """See the port."""
        reply = await self._session("take_session", sid, secret, attempt, self._pod, SESSION_MS)
        if reply[0] == b"replaced":
            raise RefusedError("replaced")
        if reply[0] == b"ok":
            return Session(reply[1], text(reply[2]))
        # Gone, or lost with everything else? Then its pod is about to put it back.
        await self._connection.check()
        if self._connection.wiped_lately:
            raise UnavailableError
        return None

    async def drop_session(self, sid: str) -> None:
        """See the port."""
        await self._connection.ask("DEL", redis_keys.session(sid))

    def touch_sessions(self, sids: list[str]) -> None:
        """See the port."""
        if self._connection.wire is not None:
            for sid in sids:
                self._connection.wire.call(_ignore, "PEXPIRE", redis_keys.session(sid), SESSION_MS)

    async def subscribe(self, room: RoomKeys) -> None:
        """See the port."""
        self._channels[room.channel.encode()] = room.name
        await self._connection.subscribe(room.channel)

    def unsubscribe(self, room: RoomKeys) -> None:
        """See the port."""
        if self._channels.pop(room.channel.encode(), None) and self._connection.wire is not None:
            self._connection.wire.call(_ignore, "UNSUBSCRIBE", room.channel)

    async def join(self, room: RoomKeys, ticket: Ticket) -> RoomState:
        """See the port."""
        reply = await self._eval(
            "join",
            room,
            ticket.sid,
            ticket.claim,
            *ticket.person,
            ticket.member,
            ticket.line,
            split_line(ticket.line)[0].request,
            ticket.capacity,
            int(ticket.moderator),
            ticket.epoch,
            ticket.uid,
            ticket.keep_ms,
        )
        if reply[0] != b"ok":
            raise RefusedError(text(reply[0]))
        return room_state(reply[1])

    async def attach(
        self, room: RoomKeys, sid: str, claim: str, attempt: int, line: bytes, epoch: str, off: int
    ) -> Return | None:
        """See the port."""
        reply = await self._eval("attach", room, sid, claim, attempt, line, epoch, off)
        if reply[0] == b"gone":
            return None
        if reply[0] != b"ok":
            raise RefusedError(text(reply[0]))
        _, state, recovered, since, missed, requests, previous = reply
        return Return(
            room_state(state),
            bool(recovered),
            int(since),
            entries(missed),
            [text(request) for request in requests],
            text(previous),
        )

    def publish(
        self, room: RoomKeys, epoch: str, claim: str, head: Head, line: bytes, change: bytes, done: Done
    ) -> None:
        """See the port."""
        pending = Pending(room, epoch, claim, head, line, change, done, time.monotonic())
        if self._connection.wire is None:
            self._stall(pending)
        else:
            self._send(self._connection.wire, pending)

    def _send(self, wire: Wire, pending: Pending) -> None:
        self._flying += 1
        wire.call(
            partial(self._replied, pending),
            "EVALSHA",
            self._connection.shas["publish"],
            8,
            *pending.room.keys,
            pending.epoch,
            pending.head.sender,
            pending.claim,
            pending.line,
            pending.head.request,
            pending.change,
        )

    def _replied(self, pending: Pending, reply: Any) -> None:
        self._flying -= 1
        if isinstance(reply, int):
            pending.done(reply)
        elif reply is LOST:
            pending.in_doubt = True
            self._stall(pending)
        elif isinstance(reply, hiredis.ReplyError) and is_another_server(str(reply)):
            # Another server than the one that was prepared.
            if self._connection.wire is not None:
                self._connection.wire.abort()
            self._stall(pending)
        else:
            self._connection.refusals.note(str(reply), time.monotonic())
            pending.done(NO_BUS)

    def _stall(self, pending: Pending) -> None:
        if self._outbox.add(pending):
            self._listener.on_stall(pending.room.name, pending.line)
        else:
            pending.done(NO_BUS)

    async def detach(self, room: RoomKeys, sid: str, claim: str, line: bytes, keep_ms: int) -> None:
        """See the port."""
        await self._eval("detach", room, sid, claim, line, keep_ms)

    async def remove(self, room: RoomKeys, sid: str, claim: str, line: bytes, ban_ms: int) -> bool:
        """See the port."""
        head, _ = split_line(line)
        reply = await self._eval("remove", room, sid, claim, line, head.sender, head.request, ban_ms)
        return bool(reply)

    async def end(self, room: RoomKeys, line: bytes) -> bool:
        """See the port."""
        head, _ = split_line(line)
        return bool(await self._eval("end", room, line, head.sender, head.request))

    async def renew(self, room: RoomKeys, claims: list[tuple[str, str]], uid: str, keep_ms: int) -> Renewal:
        """See the port."""
        flat = [part for pair in claims for part in pair]
        epoch, off, lost = await self._eval("renew", room, uid, keep_ms, *flat)
        return Renewal(text(epoch), int(off), [text(sid) for sid in lost])

    async def history(self, room: RoomKeys, after: int) -> History:
        """See the port."""
        epoch, off, found = await self._eval("history", room, after)
        return History(text(epoch), int(off), None if found is None else entries(found))

    async def state(self, room: RoomKeys) -> RoomState | None:
        """See the port."""
        found = room_state(await self._eval("state", room))
        return found if found.epoch else None

    async def restore(
        self,
        room: RoomKeys,
        known: RoomState,
        people: dict[str, Person],
        kicked: Iterable[str],
        epoch: str,
        keep_ms: int,
    ) -> tuple[RoomState, list[Entry]]:
        """See the port."""
        arguments: list[bytes | str | int] = [epoch, known.epoch, known.off, int(known.locked), keep_ms]
        arguments.append(" ".join(kicked))
        for sid, line, claim, blocked in known.occupants:
            arguments += [sid, line, claim, blocked, " ".join(people[sid]) if sid in people else ""]
        reply, base, found = await self._eval("restore", room, *arguments)
        state, since = room_state(reply), entries(found)
        if state.off - int(base) != len(since):
            return state, []
        return state._replace(off=int(base)), since

    def post(self, pod: str, data: bytes) -> None:
        """See the port."""
        if self._connection.wire is not None:
            self._connection.wire.call(_ignore, "PUBLISH", redis_keys.pod_channel(pod), data)

    async def _seat(self, script: str, room: RoomKeys, *arguments: str | int) -> Any:
        return await self._connection.evaluate(script, _seat_keys(room), *arguments)

    async def take_seat(self, room: RoomKeys, claim: str, uid: str) -> RoomState | None:
        """See the port."""
        reply = await self._seat("take_seat", room, claim, uid, SEAT_MS)
        return None if reply is None else room_state(reply)

    async def keep_seats(self, seats: list[tuple[RoomKeys, str]]) -> list[str]:
        """See the port."""
        calls = [(_seat_keys(room), (claim, SEAT_MS)) for room, claim in seats]
        kept = await self._connection.evaluate_all("keep_seat", calls)
        # Of a room without an answer nothing is known: its lease may stand.
        return [room.name for (room, _), ours in zip(seats, kept, strict=True) if ours == 0]

    async def leave_seat(self, room: RoomKeys, claim: str, uid: str) -> None:
        """See the port."""
        await self._seat("leave_seat", room, claim, uid)

    async def clear_seats(self, rooms: list[RoomKeys], uid: str) -> None:
        """See the port."""
        await self._connection.evaluate_all("clear_seat", [(_seat_keys(room), (uid,)) for room in rooms])

    def want(self, room: RoomKeys, own: str = "") -> None:
        """See the port."""
        if self._connection.wire is not None:
            self._connection.wire.call(_ignore, "PUBLISH", redis_keys.wanted(own), room.name)

    async def listen_for_wanted(self, own: str = "") -> None:
        """See the port."""
        self._calls = redis_keys.wanted(own)
        await self._connection.subscribe(self._calls)


def _seat_keys(room: RoomKeys) -> tuple[str, ...]:
    return (*room.keys, room.seat)


def _ignore(reply: Any) -> None:
    """The ephemeral lane promises nothing, and what else comes here matters to nobody when it fails."""
