"""How much one session, or one address, may ask for: rates and caps."""

from __future__ import annotations

import ipaddress

from callcluster_common.rates import Bucket, Rate

ICE = Rate(20, 100)
KEYS = Rate(20, 60)
STRIKES = Rate(0.1, 100)
"""Frames beyond a limit, or unusable, that one session may send before its connection is closed."""
HANDSHAKES = Rate(100, 200)
PROXY_HANDSHAKES = Rate(1_000, 2_000)
"""From addresses that are not public: behind them stands an ingress, and everybody behind it."""

MAX_WAITING_PER_ADDRESS = 200
MAX_WAITING = 2_000
"""Sockets that have not said hello yet."""


class Doorkeeper:
    """Decides which handshakes go through, by address."""

    def __init__(self, sockets_per_address: int) -> None:
        """Begin; 0 for any number of sockets of one public address."""
        self._most = sockets_per_address
        self._open: dict[str, int] = {}
        self._buckets: dict[str, Bucket] = {}
        self._waiting: dict[str, int] = {}
        self._total = 0

    def knock(self, address: str, now: float) -> float:
        """Return 0.0 if a handshake from ``address`` may go on, otherwise how long to stay away (s)."""
        bucket = self._buckets.get(address)
        public = is_public(address)
        if bucket is None:
            if len(self._buckets) >= 4 * MAX_WAITING:
                self._buckets = {key: kept for key, kept in self._buckets.items() if not kept.full(now)}
            bucket = self._buckets[address] = Bucket(HANDSHAKES if public else PROXY_HANDSHAKES, now)
        most = MAX_WAITING_PER_ADDRESS if public else MAX_WAITING
        if self._total >= MAX_WAITING or self._waiting.get(address, 0) >= most:
            return 1.0
        return bucket.take(now)

    def crowded(self, address: str) -> bool:
        """Whether ``address`` has all the sockets that one party may have; an ingress is not one party.

        Handshakes under way are not counted yet: those that :meth:`knock` lets through may exceed it.
        """
        return 0 < self._most <= self._open.get(address, 0) and is_public(address)

    def enter(self, address: str) -> None:
        """A socket opened and has not said hello yet."""
        self._waiting[address] = self._waiting.get(address, 0) + 1
        self._open[address] = self._open.get(address, 0) + 1
        self._total += 1

    def settle(self, address: str) -> None:
        """That socket said hello, or went away."""
        _count_down(self._waiting, address)
        self._total -= 1

    def leave(self, address: str) -> None:
        """That socket went away."""
        _count_down(self._open, address)


def _count_down(counts: dict[str, int], key: str) -> None:
    if counts[key] == 1:
        del counts[key]
    else:
        counts[key] -= 1


def is_public(group: str) -> bool:
    """Whether an :func:`address_group` is of the open Internet."""
    return bool(group) and ipaddress.ip_network(group).is_global


def address_group(address: str) -> str:
    """The unit that limits apply to: an IPv4 address, or the /64 of an IPv6 address."""
    if ":" not in address:
        return address
    parsed = ipaddress.IPv6Address(address)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed.packed, 64), strict=False))
