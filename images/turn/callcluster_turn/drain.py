"""When a draining server may end: decided on time and counts alone."""

from __future__ import annotations

from dataclasses import dataclass

QUIET_READINGS = 2
"""A request that was let in just before the doors closed may become an allocation between two readings."""


@dataclass
class Drain:
    """Progress of one drain. Times are seconds of any clock that only goes forward."""

    timeout: float
    started: float | None = None
    initial_allocations: int = 0
    deadline: float | None = None
    """Set by the first :meth:`terminate`; without it a drain goes on for as long as calls do."""
    forced: bool = False
    _quiet: int = 0

    @property
    def active(self) -> bool:
        """Whether new allocations are to be refused."""
        return self.started is not None

    def begin(self, now: float, allocations: int) -> None:
        """Refuse new allocations from now on; safe to repeat."""
        if self.started is None:
            self.started = now
            self.initial_allocations = allocations

    def terminate(self, now: float) -> None:
        """End within the time-out, begun or not; asked a second time, end at once."""
        if self.deadline is None:
            self.deadline = now + self.timeout
        else:
            self.forced = True

    def may_end(self, now: float, allocations: int, doors_closed: bool) -> bool:
        """Take a reading of the allocations, and tell whether the process is to end now."""
        self._quiet = self._quiet + 1 if doors_closed and not allocations else 0
        if self.deadline is None:
            return False
        return self.forced or now >= self.deadline or self._quiet >= QUIET_READINGS
