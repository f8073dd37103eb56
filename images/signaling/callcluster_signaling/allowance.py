"""What one connection may still send."""

from __future__ import annotations

from dataclasses import dataclass

from callcluster_signaling.limits import ICE, KEYS, STRIKES, Bucket, Rate

MESSAGES_BURST_SECONDS = 4
BYTES_BURST_SECONDS = 16
"""How many seconds of the sustained rate a connection may spend at once."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Sustained rates of one connection, as they are set and announced."""

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
    """The buckets of one connection. Methods return 0.0, or how many seconds to wait."""

    __slots__ = ("_bytes", "_ice", "_keys", "_messages", "_strikes")

    def __init__(self, rates: Rates, now: float) -> None:
        self._messages = Bucket(rates.messages, now)
        self._bytes = Bucket(rates.bytes, now)
        self._ice: Bucket | None = None
        self._keys: Bucket | None = None
        self._strikes: Bucket | None = None

    def frame(self, size: int, now: float) -> float:
        """A frame of ``size`` bytes came."""
        return self._messages.take(now) or self._bytes.take(now, size)

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

    def strike(self, now: float) -> float:
        """It is beyond a limit or can't be used; not 0.0 means that the connection had its chances."""
        if self._strikes is None:
            self._strikes = Bucket(STRIKES, now)
        return self._strikes.take(now)
