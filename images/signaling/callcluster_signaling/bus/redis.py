"""The bus of many pods: rooms are ledgers in Redis, kept by the scripts in ``lua/``.

While Redis is away, lines wait for up to five seconds, and whoever is on this pod gets them at once. A line
whose reply was lost with the connection is looked up in the room's history before it is published again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from functools import partial
from importlib import resources
from typing import Any

import hiredis
from callcluster_common import redis_keys
from callcluster_common.redis_keys import RoomKeys

from callcluster_signaling.bus import (
    NO_BUS,
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
from callcluster_signaling.bus.outbox import Outbox, Pending
from callcluster_signaling.bus.replies import entries, room_state, text
from callcluster_signaling.bus.wire import LOST, Wire, WireError, connect

log = logging.getLogger(__name__)

ROOM_SCRIPTS = (
    "publish",
    "join",
    "attach",
    "detach",
    "remove",
    "end",
    "renew",
    "history",
    "state",
    "restore",
)
OTHER_SCRIPTS = ("put_session", "take_session", "heartbeat")

TICK_SECONDS = 0.25
BEAT_SECONDS = 1.0
BEAT_TTL_MS = 15_000
DEAF_SECONDS = 6.0
"""Without a probe for so long, pub/sub does not deliver, whatever the connection says."""
CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
PATIENCE_SECONDS = 2.0
"""How long a request waits for a connection that is being made."""
FLUSH_SECONDS = 2.0
WIPE_SECONDS = 3.0
"""For so long after a loss of data a missing session may still be recorded again by its pod."""


def scripts() -> dict[str, str]:
    """All scripts by name."""
    folder = resources.files("callcluster_signaling.bus") / "lua"
    prelude = (folder / "prelude.lua").read_text()
    found = {name: prelude + (folder / f"{name}.lua").read_text() for name in ROOM_SCRIPTS}
    return found | {name: (folder / f"{name}.lua").read_text() for name in OTHER_SCRIPTS}


class RedisBus:
    """Implements :class:`callcluster_signaling.bus.Bus`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._texts = scripts()
        self._shas: dict[str, bytes] = {}
        self._wire: Wire | None = None
        self._ready = asyncio.Event()
        self._outbox = Outbox()
        self._flying = 0
        self._channels: dict[bytes, str] = {}
        self._pod = ""
        self._inbox = b""
        self._listener: Listener
        self._tasks: list[asyncio.Task[None]] = []
        self._probe_sent = 0.0
        self._probe_heard = 0.0
        self._beaten = False
        self._wiped_at = -WIPE_SECONDS
        self._problem: str | None = "Redis has not been reached yet"
        self.probe_seconds = 0.0

    @property
    def up(self) -> bool:
        """See the port."""
        return self._wire is not None

    @property
    def trouble(self) -> str | None:
        """See the port."""
        return self._problem

    @property
    def queued(self) -> int:
        """See the port."""
        return len(self._outbox) + self._flying

    # Connection

    async def start(self, pod: str, listener: Listener) -> None:
        """See the port."""
        self._pod, self._listener = pod, listener
        self._inbox = redis_keys.pod_channel(pod).encode()
        self._tasks = [asyncio.create_task(self._stay_connected()), asyncio.create_task(self._tend())]
        try:
            await asyncio.wait_for(self._ready.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            log.warning("starting without Redis")

    async def stop(self) -> None:
        """See the port."""
        deadline = time.monotonic() + FLUSH_SECONDS
        while self.queued and self.up and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pending in self._outbox.drop():
            pending.done(NO_BUS)
        if self._wire is not None:
            self._wire.abort()

    async def _stay_connected(self) -> None:
        delay, said = 0.05, ""
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    wire = await connect(self._url, self._pushed, f"signaling-{self._pod}")
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        wiped, applied = await self._prepare(wire)
                except BaseException:
                    wire.abort()
                    raise
            except (WireError, TimeoutError) as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("Redis can't be used", extra={"fields": {"problem": said or "timeout"}})
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311
                delay = min(2 * delay, 1.0)
                continue
            delay, said = 0.05, ""
            self._use(wire, applied)
            log.info("Redis is up")
            if wiped:
                self._wiped()
            else:
                self._listener.on_return(False)
            await wire.lost
            self._wire = None
            self._ready.clear()
            log.warning("Redis is down")

    async def _prepare(self, wire: Wire) -> tuple[bool, dict[str, int]]:
        """Load scripts, subscribe, and see what became of lines in doubt."""
        for name, script in self._texts.items():
            self._shas[name] = await wire.ask("SCRIPT", "LOAD", script)
        await asyncio.gather(*(wire.subscribe(c.decode()) for c in (self._inbox, *self._channels)))
        known = self._beaten
        had = await self._beat(wire)
        applied: dict[str, int] = {}
        for room in self._outbox.rooms_in_doubt():
            for number, fields in await wire.ask("XREVRANGE", room.events, "+", "-", "COUNT", 1_000):
                head, _ = split_line(fields[5])
                applied[head.uid] = int(number.partition(b"-")[0])
        return known and not had, applied

    def _use(self, wire: Wire, applied: dict[str, int]) -> None:
        self._wire = wire
        self._problem = None
        for pending in self._outbox.drop():
            if pending.in_doubt and pending.head.uid in applied:
                pending.done(applied[pending.head.uid])
            else:
                self._send(wire, pending)
        self._ready.set()

    async def _beat(self, wire: Wire) -> bool:
        """Mark this pod as alive and send a probe; False if the former mark is gone."""
        self._probe_sent = time.monotonic()
        had = await wire.ask(
            "EVALSHA",
            self._shas["heartbeat"],
            1,
            redis_keys.pod(self._pod),
            BEAT_TTL_MS,
            self._inbox,
            b"probe",
        )
        self._beaten = True
        return bool(had)

    async def _tend(self) -> None:
        beat = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            for pending in self._outbox.expired(now):
                pending.done(NO_BUS)
            wire = self._wire
            if wire is None or now - beat < BEAT_SECONDS:
                continue
            beat = now
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    if not await self._beat(wire):
                        self._wiped()
            except (WireError, TimeoutError):
                wire.abort()
                continue
            if time.monotonic() - self._probe_heard > DEAF_SECONDS:
                log.warning("Redis answers but does not deliver: connecting anew")
                self._problem = "Redis does not deliver to this pod"
                wire.abort()

    def _wiped(self) -> None:
        log.warning("Redis has lost its data")
        self._wiped_at = time.monotonic()
        self._listener.on_return(True)

    def _pushed(self, channel: bytes, payload: bytes) -> None:
        if channel == self._inbox:
            if payload == b"probe":
                self._probe_heard = time.monotonic()
                self.probe_seconds = self._probe_heard - self._probe_sent
            else:
                self._listener.on_post(payload)
            return
        room = self._channels.get(channel)
        epoch, _, rest = payload.partition(b" ")
        off, _, line = rest.partition(b" ")
        if room is not None and off.isdigit():
            self._listener.on_entry(room, epoch.decode(errors="replace"), int(off), line)

    # Commands

    async def _ask(self, *command: bytes | str | int) -> Any:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._ready.wait()
            wire = self._wire
            if wire is None:
                raise UnavailableError
            async with asyncio.timeout(ANSWER_SECONDS):
                return await wire.ask(*command)
        except TimeoutError:
            raise UnavailableError from None
        except WireError as error:
            if str(error).startswith(("NOSCRIPT", "READONLY")) and self._wire is not None:
                self._wire.abort()
            log.warning("Redis refused a command", extra={"fields": {"problem": str(error)[:200]}})
            raise UnavailableError from None

    async def _eval(self, script: str, room: RoomKeys, *arguments: bytes | str | int) -> Any:
        # The digest is looked up once there is a connection: before the first there is none.
        if script not in self._shas:
            await self._ask("PING")
        return await self._ask("EVALSHA", self._shas[script], 8, *room.keys, *arguments)

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
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._wire is not None and not await self._beat(self._wire):
                    self._wiped()
        except (WireError, TimeoutError):
            raise UnavailableError from None
        if time.monotonic() - self._wiped_at < WIPE_SECONDS:
            raise UnavailableError
        return None

    async def _session(self, script: str, sid: str, *arguments: bytes | str | int) -> Any:
        if script not in self._shas:
            await self._ask("PING")
        return await self._ask("EVALSHA", self._shas[script], 1, redis_keys.session(sid), *arguments)

    async def drop_session(self, sid: str) -> None:
        """See the port."""
        await self._ask("DEL", redis_keys.session(sid))

    def touch_sessions(self, sids: list[str]) -> None:
        """See the port."""
        if self._wire is not None:
            for sid in sids:
                self._wire.call(_ignore, "PEXPIRE", redis_keys.session(sid), SESSION_MS)

    async def subscribe(self, room: RoomKeys) -> None:
        """See the port."""
        channel = room.channel.encode()
        self._channels[channel] = room.name
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._ready.wait()
                if self._wire is None:
                    raise UnavailableError
                await self._wire.subscribe(room.channel)
        except (WireError, TimeoutError):
            raise UnavailableError from None

    def unsubscribe(self, room: RoomKeys) -> None:
        """See the port."""
        if self._channels.pop(room.channel.encode(), None) and self._wire is not None:
            self._wire.unsubscribe(room.channel)

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
        if self._wire is None:
            self._stall(pending)
        else:
            self._send(self._wire, pending)

    def _send(self, wire: Wire, pending: Pending) -> None:
        self._flying += 1
        wire.call(
            partial(self._replied, pending),
            "EVALSHA",
            self._shas["publish"],
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
        elif isinstance(reply, hiredis.ReplyError) and str(reply).startswith(("NOSCRIPT", "READONLY")):
            # Another server than the one that was prepared.
            if self._wire is not None:
                self._wire.abort()
            self._stall(pending)
        else:
            log.warning("Redis refused a line", extra={"fields": {"problem": str(reply)[:200]}})
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
        self, room: RoomKeys, known: RoomState, people: dict[str, Person], epoch: str, keep_ms: int
    ) -> tuple[RoomState, list[Entry]]:
        """See the port."""
        arguments: list[bytes | str | int] = [epoch, known.epoch, known.off, int(known.locked), keep_ms]
        for sid, line, claim in known.occupants:
            arguments += [sid, line, claim, " ".join(people[sid]) if sid in people else ""]
        reply, base, found = await self._eval("restore", room, *arguments)
        state, since = room_state(reply), entries(found)
        if state.off - int(base) != len(since):
            return state, []
        return state._replace(off=int(base)), since

    def post(self, pod: str, data: bytes) -> None:
        """See the port."""
        if self._wire is not None:
            self._wire.call(_ignore, "PUBLISH", redis_keys.pod_channel(pod), data)


def _ignore(reply: Any) -> None:
    """The ephemeral lane promises nothing, and a touch that fails is mended by the next."""
