"""What the parts of one signaling process share."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any

from callcluster_common.bus import Bus, Head, UnavailableError, make_line
from callcluster_common.directive import Directive, RoomRule
from callcluster_common.keyset import KeySet
from callcluster_common.messages import server
from callcluster_common.messages.types import IceServer, Limits

from callcluster_signaling.allowance import Allowances
from callcluster_signaling.answers import encode
from callcluster_signaling.effects import Effect
from callcluster_signaling.links import Link, Writer
from callcluster_signaling.metrics import Counts
from callcluster_signaling.room import Evict, Room
from callcluster_signaling.rooms import Rooms
from callcluster_signaling.session import Policy
from callcluster_signaling.shares import Shares
from callcluster_signaling.turn import ice_servers

log = logging.getLogger(__name__)

TURN_SPREAD_SECONDS = 2.0
"""Over which fresh TURN credentials go out when the servers or the minting key change."""
END_AGAIN_SECONDS = 1.0


class Pod:
    """Identity, clock, tables and background work of this process."""

    def __init__(self, policy: Policy, bus: Bus, room_salt: bytes) -> None:
        self.id = secrets.token_urlsafe(9)
        """New for every process: a restarted one owns nothing of its predecessor."""
        self.policy = policy
        self.bus = bus
        self.counts = Counts()
        self.links: dict[str, Link] = {}
        """By sid: the newest socket of each session on this pod."""
        self.allowances = Allowances(policy.resume_window_seconds)
        self.shares = Shares(
            policy.rates, policy.allowances_per_subject, policy.allowances_per_guest_address
        )
        self.writer = Writer()
        self.open_links: set[Link] = set()
        self.directive: Directive | None = None
        self.keyset: KeySet | None = None
        self.evict: Callable[[Link, Evict], None]
        self.record: Callable[[list[Link]], Coroutine[Any, Any, None]]
        self.perform: Callable[[Link, list[Effect]], None]
        self.keep_ms = policy.resume_window_seconds * 1000
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._rules: dict[str, RoomRule] = {}
        self._unended: set[Room] = set()
        self._end_again = 0.0
        self.rooms = Rooms(
            bus,
            room_salt,
            self.counts,
            self.links,
            uid=self.uid,
            evict=lambda link, evicted: self.evict(link, evicted),
            spawn=self.spawn,
            record=lambda links: self.record(links),
            keep_ms=self.keep_ms,
            sfu_of=self.sfu_of,
        )

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def wall(self) -> float:
        """Unix seconds."""
        return time.time()

    def uid(self) -> str:
        """A name that no other entry or claim has."""
        return f"{self.id}.{next(self._numbers)}"

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background; what goes wrong is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)

    async def settle(self) -> None:
        """Wait for background work."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def rule(self, room_id: str) -> RoomRule | None:
        """The rule of a declared room."""
        return self._rules.get(self.rooms.opaque(room_id)) if self._rules else None

    def capacity(self, room_id: str) -> int:
        """How many members a room may have."""
        rule = self.rule(room_id)
        most = Limits().room_members
        return most if rule is None else min(most, rule.max_participants)

    def closed(self, room_id: str) -> bool:
        """Whether the operator closed the room."""
        rule = self.rule(room_id)
        return rule is not None and rule.closed

    def sfu_of(self, room: Room) -> str:
        """By what name the room's own SFU knows it; empty where any SFU may serve it."""
        rule = self._rules.get(room.opaque)
        return rule.key if rule is not None and rule.own_sfu else ""

    def turn_for(self, sid: str) -> tuple[list[IceServer], int]:
        """ICE servers for one session, and the life of their credentials."""
        return ice_servers(self.directive, self.keyset, sid, self.wall())

    def follow_directive(self, directive: Directive) -> None:
        """A new directive is in force."""
        old, self.directive = self.directive, directive
        self._rules = {rule.key: rule for rule in directive.rooms}
        if old is None or (old.turn_uris, old.stun_uris, old.turn_ttl_seconds) != (
            directive.turn_uris,
            directive.stun_uris,
            directive.turn_ttl_seconds,
        ):
            self._push_turn()
        for room in self.rooms:
            if self.closed(room.id):
                self.spawn(self._end(room))

    def tick(self, now: float) -> None:
        """Time passed: end closed rooms whose ending could not be brought out."""
        if not self._unended or now < self._end_again:
            return
        unended, self._unended = self._unended, set()
        for room in unended:
            if self.closed(room.id) and self.rooms.holds(room):
                self.spawn(self._end(room))

    async def _end(self, room: Room) -> None:
        event = server.Event(d=server.EventData(kind="ended"))
        try:
            await self.bus.end(room.keys, make_line(Head(self.uid()), encode(event)))
        except UnavailableError:
            # The rule stands: nobody comes in meanwhile.
            if not self._unended:
                log.warning("a closed room could not be ended yet", extra={"fields": {"room": room.opaque}})
            self._unended.add(room)
            self._end_again = self.now() + END_AGAIN_SECONDS

    def follow_keyset(self, keyset: KeySet) -> None:
        """A new TURN key set is in force."""
        old, self.keyset = self.keyset, keyset
        if old is None or old.minting != keyset.minting:
            self._push_turn()

    def _push_turn(self) -> None:
        if self.directive is None or (self.directive.turn_uris and self.keyset is None):
            return
        now = self.now()
        for link in self.links.values():
            if link.room is not None:
                link.session.turn_due = now + TURN_SPREAD_SECONDS * random.random()  # noqa: S311
