"""Lines that wait for the bus to come back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from callcluster_common.bus import Done, Head
from callcluster_common.redis_keys import RoomKeys

MAX_LINES = 1_000
MAX_SECONDS = 5.0


class Pending:
    """A line on its way."""

    __slots__ = ("at", "change", "claim", "done", "epoch", "head", "in_doubt", "line", "room")

    def __init__(
        self,
        room: RoomKeys,
        epoch: str,
        claim: str,
        head: Head,
        line: bytes,
        change: bytes,
        done: Done,
        at: float,
    ) -> None:
        self.room = room
        self.epoch = epoch
        self.claim = claim
        self.head = head
        self.line = line
        self.change = change
        self.done = done
        self.at = at
        self.in_doubt = False
        """Whether it was sent, and the connection broke before the reply."""


class Outbox:
    """A bounded queue, oldest first."""

    def __init__(self) -> None:
        self._lines: deque[Pending] = deque()

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, pending: Pending) -> bool:
        """Queue a line; False if there is no room."""
        if len(self._lines) >= MAX_LINES:
            return False
        self._lines.append(pending)
        return True

    def expired(self, now: float) -> Iterator[Pending]:
        """Take out what has waited too long."""
        while self._lines and now - self._lines[0].at > MAX_SECONDS:
            yield self._lines.popleft()

    def drop(self) -> list[Pending]:
        """Take out everything."""
        lines = list(self._lines)
        self._lines.clear()
        return lines

    def rooms_in_doubt(self) -> list[RoomKeys]:
        """Rooms whose history tells what became of lines."""
        return list(
            {pending.room.name: pending.room for pending in self._lines if pending.in_doubt}.values()
        )
