"""A receiver's keys of one sender, with their replay windows (docs/e2ee.md, sections 4 and 5)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from callcluster_probe.e2ee.encode import CryptoError
from callcluster_probe.e2ee.frames import Source, clear_bytes, metadata
from callcluster_probe.e2ee.sframe import FrameKey, decode_header, key_id, ratchet, split_key_id

WINDOW = 1024
MAX_RATCHET = 64
OLD_KEY_S = 10.0
OUTDATED_S = 3.0 + OLD_KEY_S
"""So long lives a key that someone held who is gone; by then its sender has a new one."""
MAX_GENERATION = 0xFFFF


class UnknownKey(CryptoError):  # noqa: N818 - not a failure, a reason to ask for a key
    """The frame is sealed with a key that this member does not have; ``early`` if it never had it."""

    def __init__(self, kid: int, early: bool) -> None:
        super().__init__("no key for this frame")
        self.kid = kid
        self.early = early


class ReplayWindow:
    """Accepts each counter once, and none that lies ``WINDOW`` or more behind the highest."""

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0  # bit n: highest - n was seen

    def fresh(self, counter: int) -> bool:
        """Whether ``counter`` may still be accepted."""
        behind = self._highest - counter
        return behind < 0 or (behind < WINDOW and not self._seen >> behind & 1)

    def accept(self, counter: int) -> None:
        """Mark ``counter`` as seen; only after the frame opened."""
        ahead = counter - self._highest
        if ahead > 0:
            self._seen = (self._seen << min(ahead, WINDOW) | 1) & ((1 << WINDOW) - 1)
            self._highest = counter
        else:
            self._seen |= 1 << -ahead


@dataclass(slots=True)
class _Entry:
    key: FrameKey
    window: ReplayWindow
    ends: float = math.inf


class Keyring:
    """Keys of one sender. Times are seconds of one monotonic clock."""

    def __init__(self, sid: str) -> None:
        self.sid = sid
        self._bases: dict[int, tuple[int, bytes]] = {}  # generation -> its highest known step and base key
        self._entries: dict[int, _Entry] = {}
        # Of every key ever held: one that comes back opens nothing twice.
        self._windows: dict[int, ReplayWindow] = {}
        self._outdated: set[int] = set()  # generations that someone held who is gone

    def forget(self) -> None:
        """Drop all keys: the sender left."""
        self._bases.clear()
        self._entries.clear()

    def install(self, kid: int, base: bytes, now: float) -> None:
        """Take a key from an envelope; one that is not newer than what is held changes nothing.

        But one that is held and outdated gets another while: its sender vouches for it.

        Raises:
            CryptoError: the ``KID`` is out of range.
        """
        generation, step = split_key_id(kid)
        if generation > MAX_GENERATION:
            raise CryptoError("the key id is out of range")
        entry = self._entries.get(kid)
        held = self._bases.get(generation)
        if entry is not None:
            if generation in self._outdated:
                entry.ends = max(entry.ends, now + OUTDATED_S)
        elif held is None or held[0] < step:
            entry = self._prepare(kid, base)
            if generation in self._outdated:
                entry.ends = now + OUTDATED_S
            self._hold(generation, step, base, entry, self._entries.values(), now)

    def outdate(self, now: float) -> None:
        """Someone is gone who held these keys, or could have made them: they do not wait for a new one."""
        for entry in self._entries.values():
            entry.ends = min(entry.ends, now + OUTDATED_S)
            self._outdated.add(split_key_id(entry.key.kid)[0])

    def open(self, source: Source, frame: bytes, now: float) -> bytes:
        """The plain frame.

        Raises:
            UnknownKey: the key is missing and should be asked for.
            CryptoError: the frame does not open, came before, or is too old.
        """
        self._expire(now)
        clear = frame[: clear_bytes(source, frame)]
        sealed = frame[len(clear) :]
        kid, counter, _ = decode_header(sealed)
        entry, base = self._entries.get(kid), None
        if entry is None:
            entry, base = self._ratcheted(kid)
        if not entry.window.fresh(counter):
            raise CryptoError("the frame came before, or too late")
        _, plain = entry.key.open(metadata(self.sid, source, clear), sealed)
        entry.window.accept(counter)
        if base is not None:
            # A step lives no longer than its generation, and ends no other: who left could have made it.
            generation, step = split_key_id(kid)
            before = [e for k, e in self._entries.items() if split_key_id(k)[0] == generation]
            entry.ends = max(earlier.ends for earlier in before)
            self._hold(generation, step, base, entry, before, now)
        return clear + plain

    def _ratcheted(self, kid: int) -> tuple[_Entry, bytes]:
        """Key and base of a later step of a held generation; not kept until a frame opens with it."""
        generation, step = split_key_id(kid)
        held = self._bases.get(generation)
        if held is None or not 0 < step - held[0] <= MAX_RATCHET:
            raise UnknownKey(kid, early=kid not in self._windows)
        base = held[1]
        for _ in range(step - held[0]):
            base = ratchet(base)
        return self._prepare(kid, base), base

    def _prepare(self, kid: int, base: bytes) -> _Entry:
        return _Entry(FrameKey(kid, base), self._windows.get(kid) or ReplayWindow())

    def _hold(
        self, generation: int, step: int, base: bytes, entry: _Entry, replaced: Iterable[_Entry], now: float
    ) -> None:
        for other in replaced:
            other.ends = min(other.ends, now + OLD_KEY_S)
        self._bases[generation] = (step, base)
        kid = key_id(generation, step)
        self._entries[kid], self._windows[kid] = entry, entry.window

    def _expire(self, now: float) -> None:
        gone = [kid for kid, entry in self._entries.items() if now > entry.ends]
        for kid in gone:
            del self._entries[kid]
        if gone:
            live = {split_key_id(kid)[0] for kid in self._entries}
            self._bases = {
                generation: held for generation, held in self._bases.items() if generation in live
            }
