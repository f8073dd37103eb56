"""The bus of a single process: ledgers in memory, delivery by direct call."""

from __future__ import annotations

import time
from collections.abc import Iterable

from callcluster_common.bus import (
    EPOCH_LOST,
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
)
from callcluster_common.bus.ledger import Ledger
from callcluster_common.redis_keys import RoomKeys

TIDY_MS = 10_000


class SessionRecord:
    """What is kept of one session."""

    __slots__ = ("attempt", "expires", "record", "secret")

    def __init__(self, secret: str, record: bytes, attempt: int, expires: int) -> None:
        self.secret = secret
        self.record = record
        self.attempt = attempt
        self.expires = expires


def _now() -> int:
    return time.monotonic_ns() // 1_000_000


class MemoryBus:
    """Implements :class:`callcluster_common.bus.Bus` for ``memory://``."""

    def __init__(self) -> None:
        self._rooms: dict[str, Ledger] = {}
        self._subscribed: set[str] = set()
        self._tidied = 0
        self._sessions: dict[str, SessionRecord] = {}
        self._pod = ""
        self._hears: str | None = None
        self._listener: Listener

    @property
    def up(self) -> bool:
        """Memory is always there."""
        return True

    @property
    def trouble(self) -> str | None:
        """Memory has none."""
        return None

    @property
    def broken(self) -> bool:
        """It does no work of its own."""
        return False

    @property
    def probe_seconds(self) -> float:
        """A call takes no time worth a figure."""
        return 0.0

    @property
    def queued(self) -> int:
        """Nothing waits."""
        return 0

    async def start(self, pod: str, listener: Listener) -> None:
        """Nothing to connect."""
        self._pod = pod
        self._listener = listener

    async def stop(self) -> None:
        """Nothing to bring out."""

    def _tidy(self, now: int) -> None:
        """Forget what nobody has come back for, at most once in a while: it takes a look at everything."""
        if now - self._tidied < TIDY_MS:
            return
        self._tidied = now
        self._sessions = {sid: kept for sid, kept in self._sessions.items() if kept.expires > now}
        self._rooms = {name: kept for name, kept in self._rooms.items() if not kept.forgettable(now)}

    async def put_session(self, sid: str, secret: str, record: bytes, attempt: int) -> None:
        """See the port."""
        now = _now()
        self._tidy(now)
        self._sessions[sid] = SessionRecord(secret, record, attempt, now + SESSION_MS)

    async def take_session(self, sid: str, secret: str, attempt: int) -> Session | None:
        """See the port."""
        kept = self._sessions.get(sid)
        if kept is None or kept.expires <= _now() or kept.secret != secret:
            return None
        if kept.attempt > attempt:
            raise RefusedError("replaced")
        kept.attempt = attempt
        return Session(kept.record, self._pod)

    async def drop_session(self, sid: str) -> None:
        """See the port."""
        self._sessions.pop(sid, None)

    def touch_sessions(self, sids: list[str]) -> None:
        """See the port."""
        expires = _now() + SESSION_MS
        for sid in sids:
            if kept := self._sessions.get(sid):
                kept.expires = expires

    async def subscribe(self, room: RoomKeys) -> None:
        """See the port."""
        self._subscribed.add(room.name)

    def unsubscribe(self, room: RoomKeys) -> None:
        """See the port."""
        self._subscribed.discard(room.name)

    def _push(self, room: RoomKeys, entries: Iterable[Entry]) -> None:
        if room.name in self._subscribed and (ledger := self._rooms.get(room.name)) is not None:
            for entry in entries:
                self._listener.on_entry(room.name, ledger.epoch, entry.off, entry.line)

    async def join(self, room: RoomKeys, ticket: Ticket) -> RoomState:
        """See the port."""
        now = _now()
        self._tidy(now)
        ledger = self._rooms.get(room.name, Ledger())
        # A room whose last members went silently is looked after by nobody until somebody comes.
        self._push(room, ledger.sweep(ticket.uid, ticket.keep_ms, now))
        published = ledger.join(ticket, now)
        self._rooms[room.name] = ledger
        state = ledger.state()
        self._push(room, published)
        return state

    async def attach(
        self, room: RoomKeys, sid: str, claim: str, attempt: int, line: bytes, epoch: str, off: int
    ) -> Return | None:
        """See the port."""
        ledger = self._rooms.get(room.name)
        found = ledger.attach(sid, claim, attempt, line, epoch, off, _now()) if ledger else None
        if found is None:
            return None
        self._push(room, [found[1]])
        return found[0]

    def publish(
        self, room: RoomKeys, epoch: str, claim: str, head: Head, line: bytes, change: bytes, done: Done
    ) -> None:
        """See the port."""
        ledger = self._rooms.get(room.name)
        result = ledger.publish(epoch, head.sender, claim, line, change, _now()) if ledger else EPOCH_LOST
        if isinstance(result, int):
            done(result)
        else:
            done(result.off)
            self._push(room, [result])

    async def detach(self, room: RoomKeys, sid: str, claim: str, line: bytes, keep_ms: int) -> None:
        """See the port."""
        if (ledger := self._rooms.get(room.name)) and (
            entry := ledger.detach(sid, claim, line, keep_ms, _now())
        ):
            self._push(room, [entry])

    async def remove(self, room: RoomKeys, sid: str, claim: str, line: bytes, ban_ms: int) -> bool:
        """See the port."""
        ledger = self._rooms.get(room.name)
        entry = ledger.remove(sid, claim, line, ban_ms, _now()) if ledger else None
        if entry is None:
            return False
        self._push(room, [entry])
        return True

    async def end(self, room: RoomKeys, line: bytes) -> bool:
        """See the port."""
        ledger = self._rooms.get(room.name)
        entry = ledger.end(line, _now()) if ledger else None
        if entry is None:
            return False
        self._push(room, [entry])
        return True

    async def renew(self, room: RoomKeys, claims: list[tuple[str, str]], uid: str, keep_ms: int) -> Renewal:
        """See the port."""
        ledger = self._rooms.get(room.name)
        if ledger is None:
            return Renewal("", 0, [sid for sid, _ in claims])
        renewal, published = ledger.renew(claims, uid, keep_ms, _now())
        self._push(room, published)
        return renewal

    async def history(self, room: RoomKeys, after: int) -> History:
        """See the port."""
        ledger = self._rooms.get(room.name)
        return (ledger or Ledger()).history(after, _now())

    async def state(self, room: RoomKeys) -> RoomState | None:
        """See the port."""
        ledger = self._rooms.get(room.name)
        return ledger.state() if ledger else None

    async def restore(
        self,
        room: RoomKeys,
        known: RoomState,
        people: dict[str, Person],
        kicked: Iterable[str],
        epoch: str,
        keep_ms: int,
    ) -> tuple[RoomState, list[Entry]]:
        """Memory is lost with the process alone, and then there is nobody to restore for."""
        return known, []

    def post(self, pod: str, data: bytes) -> None:
        """See the port."""
        self._listener.on_post(data)

    async def take_seat(self, room: RoomKeys, claim: str, uid: str) -> RoomState | None:
        """See the port."""
        ledger = self._rooms.get(room.name)
        published = ledger.take_seat(claim, uid, _now()) if ledger else None
        if ledger is None or published is None:
            return None
        self._push(room, published)
        return ledger.state()

    async def keep_seats(self, seats: list[tuple[RoomKeys, str]]) -> list[str]:
        """See the port."""
        now = _now()
        return [
            room.name
            for room, claim in seats
            if (ledger := self._rooms.get(room.name)) is None or not ledger.keep_seat(claim, now)
        ]

    async def leave_seat(self, room: RoomKeys, claim: str, uid: str) -> None:
        """See the port."""
        if ledger := self._rooms.get(room.name):
            self._push(room, ledger.leave_seat(claim, uid, _now()))

    async def clear_seats(self, rooms: list[RoomKeys], uid: str) -> None:
        """See the port."""
        for room in rooms:
            if ledger := self._rooms.get(room.name):
                self._push(room, ledger.clear_seat(uid, _now()))

    def want(self, room: RoomKeys, own: str = "") -> None:
        """See the port."""
        if self._hears == own:
            self._listener.on_wanted(room.name)

    async def listen_for_wanted(self, own: str = "") -> None:
        """See the port."""
        self._hears = own
