"""One room's ledger in memory: the rules that ``lua/*.lua`` state for Redis, and their oracle in tests."""

from __future__ import annotations

from collections import deque

import msgspec

from callcluster_common.bus import (
    EPOCH_LOST,
    HISTORY_BYTES,
    HISTORY_ENTRIES,
    HISTORY_MS,
    LEASE_MS,
    NOT_OWNER,
    ROOM_MS,
    SEAT_MS,
    Entry,
    History,
    Occupant,
    Person,
    RefusedError,
    Renewal,
    Return,
    RoomState,
    Ticket,
    split_line,
)
from callcluster_common.bus.events import (
    left_line,
    reconnecting_line,
    resumed_line,
    seated_line,
    vacated_line,
)


class Owner:
    """Who speaks for a member: the claim of a socket, empty while it is away."""

    __slots__ = ("attempt", "claim")

    def __init__(self, claim: str, attempt: int) -> None:
        self.claim = claim
        self.attempt = attempt


class Kept(msgspec.Struct, frozen=True, gc=False):
    """An entry of the history and when it was made."""

    at: int
    entry: Entry


class Ledger:
    """State and history of one room. Times are milliseconds of one monotonic clock."""

    def __init__(self) -> None:
        self.epoch = ""
        self.off = 0
        self.locked = False
        self.entries: deque[Kept] = deque()
        self.bytes = 0
        """Of the entries' lines."""
        self.members: dict[str, bytes] = {}
        self.owners: dict[str, Owner] = {}
        self.people: dict[str, Person] = {}
        self.leases: dict[str, int] = {}
        self.bans: dict[str, int] = {}
        self.blocked: dict[str, set[str]] = {}
        """Kinds of media by sid."""
        self.seat = ""
        """Claim of the SFU that the room knows of."""
        self.seat_until = 0

    def _append(self, line: bytes, now: int) -> Entry:
        self.off += 1
        entry = Entry(self.off, line)
        self.entries.append(Kept(now, entry))
        self.bytes += len(line)
        while self.bytes > HISTORY_BYTES or len(self.entries) > HISTORY_ENTRIES:
            self._drop_oldest()
        return entry

    def _drop_oldest(self) -> None:
        self.bytes -= len(self.entries.popleft().entry.line)

    def _forget(self, sid: str) -> None:
        for table in (self.members, self.owners, self.people, self.leases, self.blocked):
            table.pop(sid, None)

    def forgettable(self, now: int) -> bool:
        """Whether the room has been empty for long, and bans nobody."""
        last = self.entries[-1].at if self.entries else 0
        return (
            not self.members and last + ROOM_MS < now and all(until <= now for until in self.bans.values())
        )

    def state(self) -> RoomState:
        """The whole room."""
        occupants = [
            Occupant(sid, line, self.owners[sid].claim, " ".join(sorted(self.blocked.get(sid, ()))))
            for sid, line in self.members.items()
        ]
        return RoomState(self.epoch, self.off, self.locked, occupants, self.seat)

    def join(self, ticket: Ticket, now: int) -> list[Entry]:
        """Enter, after a :meth:`sweep`; return what was published, the newcomer's own entry last.

        Raises:
            RefusedError: banned, locked or full.
        """
        person = ticket.person
        if any(self.bans.get(key, 0) > now for key in (person.user, person.jti) if key):
            raise RefusedError("banned")
        former = [sid for sid, other in self.people.items() if other.cid == person.cid]
        if any(self.people[sid].user != person.user for sid in former):
            raise RefusedError("duplicate")
        if self.locked and not ticket.moderator and not former:
            raise RefusedError("room_locked")
        if len(self.members) - len(former) >= ticket.capacity:
            raise RefusedError("room_full")
        if not self.members:
            self.epoch, self.locked = ticket.epoch, False
            self.entries.clear()
            self.bytes = 0
        published = []
        for sid in former:
            self._forget(sid)
            published.append(self._append(left_line(ticket.uid, sid, "left"), now))
        self.members[ticket.sid] = ticket.member
        self.owners[ticket.sid] = Owner(ticket.claim, 0)
        self.people[ticket.sid] = person
        self.leases[ticket.sid] = now + LEASE_MS
        published.append(self._append(ticket.line, now))
        return published

    def publish(
        self, epoch: str, sid: str, claim: str, line: bytes, change: bytes, now: int
    ) -> Entry | int:
        """Append a line for a member; return it, or why not."""
        if epoch != self.epoch:
            return EPOCH_LOST
        owner = self.owners.get(sid)
        if owner is None or owner.claim != claim:
            return NOT_OWNER
        if change[:1] == b"M":
            self.members[sid] = change[1:]
        elif change[:1] == b"L":
            self.locked = change == b"L1"
        elif change[:1] == b"B":
            media, whose = change[2:].decode().split(" ")
            if whose in self.members:
                blocked = self.blocked.setdefault(whose, set())
                (blocked.add if change[1:2] == b"1" else blocked.discard)(media)
        return self._append(line, now)

    def attach(
        self, sid: str, claim: str, attempt: int, line: bytes, epoch: str, off: int, now: int
    ) -> tuple[Return, Entry] | None:
        """Take over a place; return what to tell the member, and what was published.

        Raises:
            RefusedError: a newer attempt has it.
        """
        owner = self.owners.get(sid)
        if owner is None:
            return None
        if owner.attempt > attempt:
            raise RefusedError("replaced")
        previous, owner.claim, owner.attempt = owner.claim, claim, attempt
        self.leases[sid] = now + LEASE_MS
        missed = self._since(off, now) if epoch == self.epoch else None
        if missed:
            missed = [entry for entry in missed if split_line(entry.line)[0].to in ("", sid)]
        heads = (split_line(kept.entry.line)[0] for kept in self.entries)
        requests = [head.request for head in heads if head.sender == sid and head.request]
        entry = self._append(line, now)
        if missed is None:
            return Return(self.state(), False, self.off, [], requests, previous), entry
        return Return(self.state(), True, off, missed, requests, previous), entry

    def detach(self, sid: str, claim: str, line: bytes, keep_ms: int, now: int) -> Entry | None:
        """Keep the place of a member whose socket is gone."""
        owner = self.owners.get(sid)
        if owner is None or owner.claim != claim:
            return None
        owner.claim = ""
        self.leases[sid] = now + keep_ms
        return self._append(line, now)

    def remove(self, sid: str, claim: str, line: bytes, ban_ms: int, now: int) -> Entry | None:
        """Take a member out."""
        owner = self.owners.get(sid)
        if owner is None or (claim and owner.claim != claim):
            return None
        if ban_ms:
            person = self.people[sid]
            self.bans.update({key: now + ban_ms for key in (person.user, person.jti) if key})
        self._forget(sid)
        return self._append(line, now)

    def end(self, line: bytes, now: int) -> Entry | None:
        """Take everybody out."""
        if not self.members:
            return None
        for sid in list(self.members):
            self._forget(sid)
        return self._append(line, now)

    def renew(
        self, claims: list[tuple[str, str]], uid: str, keep_ms: int, now: int
    ) -> tuple[Renewal, list[Entry]]:
        """Renew leases, then let go of members whose lease ran out."""
        lost = []
        published = []
        for sid, claim in claims:
            owner = self.owners.get(sid)
            if owner is not None and not owner.claim:
                # Given up while its pod could not renew, and nobody else took it: it is that pod's again.
                owner.claim = claim
                published.append(self._append(resumed_line(claim, sid), now))
            if owner is None or owner.claim != claim:
                lost.append(sid)
            else:
                self.leases[sid] = now + LEASE_MS
        published += self.sweep(uid, keep_ms, now)
        return Renewal(self.epoch, self.off, lost), published

    def sweep(self, uid: str, keep_ms: int, now: int) -> list[Entry]:
        """Let go of members whose lease ran out: first of their socket, then of their place."""
        published = []
        for sid, until in sorted(self.leases.items()):
            if until > now:
                continue
            owner = self.owners[sid]
            if owner.claim:
                owner.claim = ""
                self.leases[sid] = now + keep_ms
                published.append(self._append(reconnecting_line(uid, sid), now))
            else:
                self._forget(sid)
                published.append(self._append(left_line(uid, sid, "timeout"), now))
        return published

    def take_seat(self, claim: str, uid: str, now: int) -> list[Entry] | None:
        """Serve the room; return what was published, or ``None`` if it can't be."""
        if not self.members or (self.seat not in ("", claim) and self.seat_until > now):
            return None
        known, self.seat = self.seat == claim, claim
        self.seat_until = now + SEAT_MS
        return [] if known else [self._append(seated_line(uid, claim), now)]

    def keep_seat(self, claim: str, now: int) -> bool:
        """Renew the lease of the seat; False if it is no longer the claim's."""
        if self.seat != claim:
            return False
        self.seat_until = now + SEAT_MS
        return True

    def leave_seat(self, claim: str, uid: str, now: int) -> list[Entry]:
        """Give the seat up; return what was published."""
        return self._vacate(uid, now) if self.seat == claim else []

    def clear_seat(self, uid: str, now: int) -> list[Entry]:
        """Empty a seat whose lease ran out; return what was published."""
        return self._vacate(uid, now) if self.seat and self.seat_until <= now else []

    def _vacate(self, uid: str, now: int) -> list[Entry]:
        self.seat, self.seat_until = "", 0
        return [self._append(vacated_line(uid), now)]

    def _since(self, after: int, now: int) -> list[Entry] | None:
        while self.entries and self.entries[0].at < now - HISTORY_MS:
            self._drop_oldest()
        if after == self.off:
            return []
        if after > self.off or not self.entries or self.entries[0].entry.off > after + 1:
            return None
        return [kept.entry for kept in self.entries if kept.entry.off > after]

    def history(self, after: int, now: int) -> History:
        """Entries after an offset."""
        return History(self.epoch, self.off, self._since(after, now))
