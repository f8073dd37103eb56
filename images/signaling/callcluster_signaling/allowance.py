"""What one session may still send, on whichever sockets."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from callcluster_common.rates import Bucket, Rate

from callcluster_signaling.limits import ICE, KEYS, STRIKES

if TYPE_CHECKING:
    from callcluster_signaling.shares import Share

MESSAGES_BURST_SECONDS = 4
BYTES_BURST_SECONDS = 16
"""How many seconds of the sustained rate a session may spend at once."""
LEASE_BYTES = 32_768
"""What a session draws from its subject's share at once, so that most frames cost it one subtraction."""
MAX_KEPT = 20_000
"""Sessions without a socket whose allowance is remembered: 10 MB at most."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Sustained rates of one session, as they are set and announced."""

    messages_per_second: int = 30
    bytes_per_second: int = 65_536

    @property
    def messages(self) -> Rate:
        """Of frames."""
        return Rate(self.messages_per_second, MESSAGES_BURST_SECONDS * self.messages_per_second)

    @property
    def bytes(self) -> Rate:
        """Of their bytes."""
        return Rate(self.bytes_per_second, BYTES_BURST_SECONDS * self.bytes_per_second)


class Allowance:
    """The buckets of one session. Methods return 0.0, or how many seconds to wait."""

    __slots__ = ("_bytes", "_frame_bytes", "_ice", "_keys", "_lease", "_messages", "_share", "_strikes")

    def __init__(self, rates: Rates, now: float) -> None:
        self._messages = Bucket(rates.messages, now)
        self._bytes = Bucket(rates.bytes, now)
        self._ice: Bucket | None = None
        self._keys: Bucket | None = None
        self._strikes: Bucket | None = None
        self._share: Share | None = None
        self._lease = inf
        self._frame_bytes = 0

    def draw_from(self, share: Share | None) -> Share | None:
        """Draw from ``share``, or from none; return the one before, which gets back what is left of it."""
        former, self._share = self._share, share
        if former is not None:
            former.give_back(self._lease)
        if share is None:
            self._lease = inf
        else:
            self._lease, self._frame_bytes = 0.0, share.frame_bytes
        return former

    def frame(self, size: int, now: float) -> float:
        """A frame of ``size`` bytes came."""
        wait = self._messages.take(now) or self._bytes.take(now, size)
        if wait:
            return wait
        cost = size if size > self._frame_bytes else self._frame_bytes
        self._lease -= cost
        return 0.0 if self._lease >= 0 else self._renew(cost, now)

    def _renew(self, cost: int, now: float) -> float:
        """The lease does not hold the frame: draw what is missing, and the next lease if there is one."""
        assert self._share is not None
        missing = -self._lease
        wait = 0.0
        for lease in (LEASE_BYTES, 0):
            wait = self._share.draw(missing + lease, now)
            if not wait:
                self._lease = lease
                return 0.0
        self._lease += cost
        return wait

    def ice(self, now: float) -> float:
        """It holds candidates."""
        if self._ice is None:
            self._ice = Bucket(ICE, now)
        return self._ice.take(now)

    def keys(self, now: float) -> float:
        """It sends or asks for keys."""
        if self._keys is None:
            self._keys = Bucket(KEYS, now)
        return self._keys.take(now)

    def join(self, now: float) -> float:
        """It asks for a place in a room."""
        return 0.0 if self._share is None else self._share.join(now)

    def strike(self, now: float) -> float:
        """It is beyond a limit or can't be used; not 0.0 means that the connection had its chances."""
        if self._strikes is None:
            self._strikes = Bucket(STRIKES, now)
        return self._strikes.take(now)

    def absorb(self, other: Allowance, now: float) -> None:
        """Pay for what a socket spent before it took the session up; it was in no room yet."""
        self._messages.pay(other._messages, now)
        self._bytes.pay(other._bytes, now)
        if other._strikes is not None:
            if self._strikes is None:
                self._strikes = Bucket(STRIKES, now)
            self._strikes.pay(other._strikes, now)


class Allowances:
    """Keeps the allowances of sessions without a socket for as long as they may come back."""

    def __init__(self, keep_seconds: float) -> None:
        """Start empty."""
        self._keep_seconds = keep_seconds
        self._kept: dict[str, tuple[float, Allowance]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, sid: str, allowance: Allowance, now: float) -> None:
        """The session's socket is gone; where there are too many, the oldest is forgotten."""
        self._kept.pop(sid, None)
        while self._kept:
            oldest = next(iter(self._kept))
            if len(self._kept) < MAX_KEPT and now - self._kept[oldest][0] <= self._keep_seconds:
                break
            del self._kept[oldest]
        self._kept[sid] = (now, allowance)

    def take(self, sid: str) -> Allowance | None:
        """The session is back: what it had left, or ``None`` if nothing is known of it."""
        kept = self._kept.pop(sid, None)
        return None if kept is None else kept[1]
