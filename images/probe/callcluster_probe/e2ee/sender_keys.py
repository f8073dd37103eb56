"""This member's own media key: what it seals with, what comes next, and when it changes.

Rules of docs/e2ee.md, section 4. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from callcluster_probe.e2ee.encode import CryptoError
from callcluster_probe.e2ee.frames import Source, clear_bytes, metadata
from callcluster_probe.e2ee.keyring import MAX_GENERATION
from callcluster_probe.e2ee.sframe import MAX_STEP, FrameKey, key_id, new_base_key, ratchet

ACTIVATE_AFTER_S = 1.0
MAX_AGE_S = 900.0
MAX_FRAMES = 1 << 24
RENEW_AFTER_LEAVE_S = 1.0
"""Leaves within this time share one new generation; the protocol allows 2 s."""


@dataclass(slots=True)
class _OwnKey:
    generation: int
    step: int
    base: bytes
    made: float
    """When the generation was made."""
    frame_key: FrameKey = field(init=False)
    counter: int = 0

    def __post_init__(self) -> None:
        self.frame_key = FrameKey(key_id(self.generation, self.step), self.base)


class SenderKeys:
    """One base key at a time for all tracks of a sender, and one counter for each ``KID``."""

    def __init__(self, sid: str) -> None:
        self.sid = sid
        self.sealed = 0
        """Frames sealed so far."""
        self._used: set[int] = set()
        self._current: _OwnKey | None = None
        self._newest: _OwnKey | None = None
        self._unacked: set[str] = set()
        self._activate_at = 0.0
        self._renew_at: float | None = None
        self._frames = 0  # sealed with the newest generation

    @property
    def newest(self) -> tuple[int, bytes] | None:
        """``KID`` and base key that a member should hold."""
        key = self._newest
        return (key.frame_key.kid, key.base) if key else None

    def renew(self, now: float, members: Iterable[str]) -> None:
        """Make a new generation; ``members`` are those that it is about to be sealed to."""
        self._renew_at = None
        self._frames = 0
        generation = self._fresh_generation()
        self._newest = _OwnKey(generation, 0, new_base_key(), now) if generation is not None else None
        self._unacked = set(members)
        self._await_acks(now)

    def step(self, now: float, newcomer: str) -> bool:
        """Ratchet one step for ``newcomer``.

        Returns:
            False where the rules want a new generation instead: call ``renew``.
        """
        key = self._newest
        if key is None or key.step == MAX_STEP or self._renew_at is not None:
            return False
        self._newest = _OwnKey(key.generation, key.step + 1, ratchet(key.base), key.made)
        self._unacked.add(newcomer)
        self._await_acks(now)
        return True

    def acked(self, sid: str, kid: int) -> None:
        """``sid`` has the key ``kid``; from an earlier step of the generation it gets on by itself."""
        newest = self._newest
        if newest and kid >> 8 == newest.generation and kid <= newest.frame_key.kid:
            self._unacked.discard(sid)
            self._activate_if_acked()

    def forget(self, sid: str) -> None:
        """``sid`` is gone: nobody waits for its acknowledgement."""
        self._unacked.discard(sid)
        self._activate_if_acked()

    def renew_soon(self, now: float) -> None:
        """Someone left: have a new generation within ``RENEW_AFTER_LEAVE_S``."""
        if self._renew_at is None:
            self._renew_at = now + RENEW_AFTER_LEAVE_S

    def due(self, now: float) -> bool:
        """Whether a new generation is due: after a leave, by age, by use."""
        key = self._newest
        return key is not None and (
            (self._renew_at is not None and now >= self._renew_at)
            or now - key.made >= MAX_AGE_S
            or self._frames >= MAX_FRAMES
        )

    def tick(self, now: float) -> None:
        """Use the newest key when its time has come."""
        if now >= self._activate_at:
            self._current = self._newest

    def next_deadline(self) -> float | None:
        """When ``tick`` or ``due`` may next change something."""
        key = self._newest
        if key is None:
            return None
        times = [key.made + MAX_AGE_S]
        if self._current is not key:
            times.append(self._activate_at)
        if self._renew_at is not None:
            times.append(self._renew_at)
        return min(times)

    def seal(self, source: Source, frame: bytes) -> bytes | None:
        """The sealed frame, or ``None`` without a key or anything to seal: the frame is to be dropped."""
        key = self._current
        if key is None:
            return None
        try:
            clear = frame[: clear_bytes(source, frame)]
        except CryptoError:
            return None
        counter = key.counter
        key.counter += 1
        self._frames += 1
        self.sealed += 1
        return clear + key.frame_key.seal(counter, metadata(self.sid, source, clear), frame[len(clear) :])

    def _await_acks(self, now: float) -> None:
        self._activate_at = now + ACTIVATE_AFTER_S
        self._activate_if_acked()

    def _activate_if_acked(self) -> None:
        if not self._unacked:
            self._current = self._newest

    def _fresh_generation(self) -> int | None:
        """A random generation not used in this call; ``None`` when all are, and sending ends."""
        if len(self._used) > MAX_GENERATION:
            return None
        while (generation := secrets.randbelow(MAX_GENERATION + 1)) in self._used:
            pass
        self._used.add(generation)
        return generation
