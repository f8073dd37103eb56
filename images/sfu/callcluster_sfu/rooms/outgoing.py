"""What is said to members: gathered while a tick of the event loop lasts, then one post a room and pod."""

from __future__ import annotations

import asyncio

from callcluster_common.bus import Bus, published_by
from callcluster_common.bus.posts import FromSfu, pack

from callcluster_sfu.rooms import frames
from callcluster_sfu.rooms.held import Held
from callcluster_sfu.rooms.says import Say


class Outgoing:
    """Frames on their way, and rooms whose members may have to be told of tracks."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._parcels: dict[tuple[Held, str], list[tuple[str, str]]] = {}
        """By room and pod."""
        self._untold: dict[Held, None] = {}
        self._loop = asyncio.get_running_loop()

    def say(self, held: Held, said: Say) -> None:
        """Send at the end of this tick."""
        self._add(held, said)
        self.tell(held)

    def tell(self, held: Held) -> None:
        """Once this tick is over, tell the members of ``held`` what has changed during it."""
        if not self._untold:
            self._loop.call_soon(self._flush)
        self._untold[held] = None

    def _add(self, held: Held, said: Say) -> None:
        claim = held.seat.roster.claims.get(said.sid)
        # Who has no socket is told when it comes back; who gave its seat up has no say any more.
        if claim and held.seated:
            self._parcels.setdefault((held, published_by(claim)), []).append((said.sid, frames.frame(said)))

    def _flush(self) -> None:
        for held in self._untold:
            for told in held.seat.due():
                self._add(held, told)
        self._untold.clear()
        ready, self._parcels = self._parcels, {}
        for (held, pod), parcels in ready.items():
            self._bus.post(pod, pack(FromSfu(held.keys.name, held.seat.claim, parcels)))
