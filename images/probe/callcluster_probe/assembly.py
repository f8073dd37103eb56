"""Puts the packets of VP8 frames together again, in order, and gives up on what does not come."""

from __future__ import annotations

from dataclasses import dataclass

WAIT_FRAMES = 4
"""So many later frames may be complete before a missing packet counts as lost."""


@dataclass(frozen=True, slots=True)
class Part:
    """Payload of one RTP packet; ``data`` without the payload descriptor, empty in padding."""

    start: bool
    end: bool
    data: bytes


class FrameAssembler:
    """Encoded frames from packets that may be late, doubled or lost."""

    def __init__(self) -> None:
        self._parts: dict[int, Part] = {}
        self._next: int | None = None
        self._highest: int | None = None

    def add(self, sequence: int, part: Part) -> tuple[bool, list[bytes]]:
        """Take one packet with its 16-bit sequence number.

        Returns:
            Whether frames were given up, and the frames that are complete now, in order.
        """
        number = self._unwrap(sequence)
        if self._next is None:
            if not part.start:
                return False, []
            self._next = number
        if number < self._next:
            return False, []
        self._parts[number] = part
        lost, frames = False, []
        while True:
            frame = self._complete()
            if frame is not None:
                frames.append(frame)
            elif sum(held.end for held in self._parts.values()) >= WAIT_FRAMES:
                lost = True
                self._skip()
            else:
                return lost, frames

    def _unwrap(self, sequence: int) -> int:
        if self._highest is None:
            self._highest = sequence
            return sequence
        ahead = (sequence - self._highest + 0x8000) % 0x10000 - 0x8000
        number = self._highest + ahead
        self._highest = max(self._highest, number)
        return number

    def _complete(self) -> bytes | None:
        """The frame at ``_next`` if all of it is here."""
        assert self._next is not None
        while (padding := self._parts.get(self._next)) is not None and not padding.data:
            del self._parts[self._next]
            self._next += 1
        last = self._next
        while (part := self._parts.get(last)) is not None and not part.end:
            last += 1
        if part is None or not self._parts[self._next].start:
            return None
        data = b"".join(self._parts.pop(number).data for number in range(self._next, last + 1))
        self._next = last + 1
        return data

    def _skip(self) -> None:
        """Go on behind the gap: at the next packet that begins a frame."""
        assert self._next is not None
        after = self._next + 1
        starts = [number for number, part in self._parts.items() if part.start and number >= after]
        self._next = min(starts, default=max(self._parts) + 1)
        self._parts = {number: part for number, part in self._parts.items() if number >= self._next}
