"""How often something may happen: token buckets."""

from __future__ import annotations

from typing import NamedTuple


class Rate(NamedTuple):
    """A sustained rate in tokens a second and the burst above it."""

    per_second: float
    burst: float


class Bucket:
    """A token bucket that starts full."""

    __slots__ = ("_at", "_level", "rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self._level = rate.burst
        self._at = now

    def take(self, now: float, amount: float = 1.0) -> float:
        """Take ``amount`` tokens; return 0.0, or the seconds until there are so many (and take nothing)."""
        per_second, burst = self.rate
        level = self._level + (now - self._at) * per_second
        self._at = now
        if level > burst:
            level = burst
        if level >= amount:
            self._level = level - amount
            return 0.0
        self._level = level
        return (amount - level) / per_second

    def pay(self, other: Bucket, now: float) -> None:
        """Give as many tokens as are missing from ``other``, which has the same rate, or all there are."""
        missing = max(0.0, other.rate.burst - other._level - (now - other._at) * other.rate.per_second)
        if self.take(now, missing):
            self._level = 0.0

    def give(self, amount: float) -> None:
        """Put back what was taken and not used; what is above the burst is lost."""
        self._level += amount

    def full(self, now: float) -> bool:
        """Whether nothing was taken for so long that the bucket can be forgotten."""
        return self._level + (now - self._at) * self.rate.per_second >= self.rate.burst
