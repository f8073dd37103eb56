"""Kills operators with -9 at what they write, and starts new ones until all is as it should be."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Literal

from kit.eventually import eventually
from kit.operator_nursery import ForkedOperator, Nursery
from kit.proxy import Moment

Check = Callable[[], Awaitable[bool]]

MOST_LIVES = 80
"""Of one stage: after so many restarts it does not converge."""


class Reaper:
    """Takes down every write, and kills the operator at each where it is told to.

    It strikes when the write was done and before the operator knows. Until its next write the world stays
    as it is, so that this stands for all moments between the two.
    """

    def __init__(self) -> None:
        self.kills: Literal["never", "once", "always"] = "never"
        """At which writes: ``once`` at the first with each method and path."""
        self.operator: ForkedOperator | None = None
        self.writes: list[tuple[str, str]] = []
        """Method and path of each."""

    def on_write(self, method: str, path: str, moment: Moment) -> bool:
        if moment == "before":
            return self.operator is None  # what a dead operator had sent already
        is_first = (method, path) not in self.writes
        self.writes.append((method, path))
        strikes = self.kills == "always" or (self.kills == "once" and is_first)
        if self.operator is None or not strikes:
            return False
        self.operator.kill()
        self.operator = None
        return True


class Driver:
    """Keeps an operator going, whatever happens to it, until a stage of a life has come to its end."""

    def __init__(self, nursery: Nursery, reaper: Reaper, lease: str) -> None:
        self._nursery = nursery
        self._reaper = reaper
        self._leases = (f"{lease}-{number}" for number in itertools.count())

    async def drive(self, stage: str, is_over: Check) -> None:
        for _ in range(MOST_LIVES):
            # A lease of its own, since nobody needs to wait for a dead process here.
            operator = self._nursery.start(LEASE_NAME=next(self._leases))
            self._reaper.operator = operator

            async def killed_or_over() -> bool:
                return self._reaper.operator is None or await is_over()

            await eventually(killed_or_over, within=180)
            if self._reaper.operator is not None:
                self._reaper.operator = None
                operator.kill()
                return
        raise AssertionError(f"{stage}: it does not converge")
