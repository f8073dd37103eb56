"""What all sessions of one subject may still send here, on however many sockets."""

from __future__ import annotations

from math import ceil

from callcluster_common.rates import Bucket, Rate

from callcluster_signaling.allowance import BYTES_BURST_SECONDS, Allowance, Rates
from callcluster_signaling.limits import is_public
from callcluster_signaling.tokens import Identity

JOINS_BURST_SECONDS = 20
"""How many seconds' joins a subject may ask for at once; each of its allowances is worth one a second."""
INGRESS_FACTOR = 4
"""Guests whose address is not public have this many times the share of one address, all together."""
FULL_SECONDS = max(BYTES_BURST_SECONDS, JOINS_BURST_SECONDS)
MAX_KEPT = 20_000
"""Subjects without a session that are remembered: 10 MB at most."""


class Share:
    """Buckets that the sessions of one subject draw from."""

    __slots__ = ("_bytes", "_joins", "frame_bytes", "sessions", "subject")

    def __init__(self, subject: str, rates: Rates, times: int, now: float) -> None:
        """Begin full, with ``times`` what one session may send."""
        self.subject = subject
        self.sessions = 0
        self.frame_bytes = ceil(rates.bytes_per_second / rates.messages_per_second)
        """What a frame counts at least, so that one bucket bounds bytes and messages."""
        one = rates.bytes
        self._bytes = Bucket(Rate(times * one.per_second, times * one.burst), now)
        self._joins = Bucket(Rate(times, times * JOINS_BURST_SECONDS), now)

    def draw(self, amount: float, now: float) -> float:
        """Take so many bytes; return 0.0, or the seconds until there are so many."""
        return self._bytes.take(now, amount)

    def give_back(self, amount: float) -> None:
        """Bytes that were drawn and not sent."""
        self._bytes.give(amount)

    def join(self, now: float) -> float:
        """Take one join; return 0.0, or the seconds to wait."""
        return self._joins.take(now)


class Shares:
    """The shares of all subjects that have a session here, or had one a moment ago."""

    def __init__(self, rates: Rates, per_subject: int, per_guest_address: int) -> None:
        """Start empty; how many sessions' allowances a subject has, 0 for any number."""
        self._rates = rates
        self._per_subject = per_subject
        self._per_guest_address = per_guest_address
        self._shares: dict[str, Share] = {}
        self._idle: dict[str, float] = {}
        """Since when a subject has no session, the longest first."""

    def __len__(self) -> int:
        return len(self._shares)

    def enter(self, allowance: Allowance, identity: Identity, address: str, now: float) -> None:
        """A session begins to send: it shares with those of its user, or as a guest of its address."""
        subject, times = self._party(identity, address)
        if not times:
            return
        self._forget(now)
        self._idle.pop(subject, None)
        share = self._shares.get(subject)
        if share is None:
            share = self._shares[subject] = Share(subject, self._rates, times, now)
        share.sessions += 1
        allowance.draw_from(share)

    def leave(self, allowance: Allowance, now: float) -> None:
        """The session sends no more."""
        share = allowance.draw_from(None)
        if share is None:
            return
        share.sessions -= 1
        if not share.sessions:
            self._idle[share.subject] = now
            self._forget(now)

    def _party(self, identity: Identity, address: str) -> tuple[str, int]:
        """Who shares, and the allowances of how many sessions."""
        if identity.exp is not None:
            return identity.user, self._per_subject
        if is_public(address):
            return address, self._per_guest_address
        return "", INGRESS_FACTOR * self._per_guest_address

    def _forget(self, now: float) -> None:
        """Forget whose buckets are full again, and the longest away where there are too many."""
        while self._idle:
            subject = next(iter(self._idle))
            if len(self._idle) <= MAX_KEPT and now - self._idle[subject] <= FULL_SECONDS:
                return
            del self._idle[subject], self._shares[subject]
