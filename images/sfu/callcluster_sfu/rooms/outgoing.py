"""What is said to members: gathered while a tick of the event loop lasts, then one post a room and pod."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

from callcluster_common.bus import Bus, published_by
from callcluster_common.bus.posts import FromSfu, pack
from callcluster_common.rates import Rate

from callcluster_sfu.rooms import frames
from callcluster_sfu.rooms.held import Held
from callcluster_sfu.rooms.says import Say

NEWS = Rate(3, 4)
"""How often the members of a room are told that its tracks have changed.

Each is told of all tracks each time: a member that begins and ends tracks all the time must not have the
whole room written to just as often.
"""


class Outgoing:
    """Frames on their way, and rooms whose members may have to be told of tracks."""

    def __init__(self, bus: Bus, guard: Callable[[Held], AbstractContextManager[None]]) -> None:
        """Begin; ``guard`` keeps a mistake in one room from the others."""
        self._bus = bus
        self._guard = guard
        self._parcels: dict[tuple[Held, str], list[tuple[str, str]]] = {}
        """By room and pod."""
        self._untold: dict[Held, None] = {}
        self._later: set[Held] = set()
        """Rooms with news that have to wait."""
        self._loop = asyncio.get_running_loop()

    def say(self, held: Held, said: Say) -> None:
        """Send at the end of this tick."""
        self._add(held, said)
        self.tell(held)

    def tell(self, held: Held) -> None:
        """Once this tick is over, tell the members of ``held`` what has changed during it.

        Who has to learn of its route is told then; of changes of tracks, when their rate allows.
        """
        if not self._untold:
            self._loop.call_soon(self._flush)
        self._untold[held] = None

    def _add(self, held: Held, said: Say) -> None:
        claim = held.seat.roster.claims.get(said.sid)
        # Who has no socket is told when it comes back; who gave its seat up has no say any more.
        if claim and held.seated:
            self._parcels.setdefault((held, published_by(claim)), []).append((said.sid, frames.frame(said)))

    def _flush(self) -> None:
        untold, self._untold = self._untold, {}
        for held in untold:
            with self._guard(held):
                self._gather(held)
        ready, self._parcels = self._parcels, {}
        for (held, pod), parcels in ready.items():
            self._bus.post(pod, pack(FromSfu(held.keys.name, held.seat.claim, parcels)))

    def _gather(self, held: Held) -> None:
        seat = held.seat
        wait = held.news.take(self._loop.time()) if seat.has_news else 0.0
        for told in seat.due(news=not wait):
            self._add(held, told)
        if wait and held not in self._later:
            self._later.add(held)
            self._loop.call_later(wait, self._tell_now, held)

    def _tell_now(self, held: Held) -> None:
        self._later.discard(held)
        self.tell(held)
