"""A member that sends test media at a steady pace."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from callcluster_probe.e2ee.keys import FrameCounts
from callcluster_probe.listener import Listener
from callcluster_probe.member import Member

MOST_BEHIND_S = 0.5
"""A sender that fell further behind skips, instead of sending a burst."""


class Performer(Listener):
    """One member of the probe's call.

    Args:
        tick_s: seconds from one call of :meth:`perform` to the next.
    """

    member: Member

    def __init__(self, tick_s: float) -> None:
        self.ended_because: str | None = None
        self.loop = asyncio.get_running_loop()
        self._tick_s = tick_s
        self._sending: asyncio.Task[None] | None = None

    @abstractmethod
    def perform(self, tick: int) -> None:
        """Send what is due at ``tick``, the first of which is 0."""

    async def join(self, timeout: float, *, retry: bool = False) -> None:
        """Enter the room, within ``timeout`` seconds, and start to send.

        Args:
            timeout: seconds.
            retry: go on trying where no server answers.

        Raises:
            SignalingError: the server can't be reached, or refuses.
        """
        await self.member.join(timeout, retry=retry)
        self._sending = asyncio.create_task(self._send())

    async def close(self) -> None:
        """Leave."""
        if self._sending:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self.member.close()

    def fail_if_broken(self) -> None:
        """Raise what ended the sending or the search for a route, which only a bug does."""
        if self._sending and self._sending.done():
            self._sending.result()
        self.member.fail_if_broken()

    def counts(self, sid: str) -> FrameCounts:
        """Frames that came from ``sid``, on all tracks."""
        keys = self.member.keys
        remote = keys.remotes.get(sid) if keys else None
        counts = list(remote.counts.values()) if remote else []
        return FrameCounts(
            received=sum(count.received for count in counts),
            opened=sum(count.opened for count in counts),
            early=sum(count.early for count in counts),
        )

    def ended(self, reason: str) -> None:
        """See ``Listener``."""
        self.ended_because = reason

    async def _send(self) -> None:
        start, tick = self.loop.time(), 0
        while True:
            self.perform(tick)
            tick += 1
            behind = self.loop.time() - start - tick * self._tick_s
            if behind > MOST_BEHIND_S:
                start += behind
            await asyncio.sleep(max(0.0, -behind))
