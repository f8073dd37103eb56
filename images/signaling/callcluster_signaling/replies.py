"""Remembers how requests were answered, so that repeating one is safe."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum, auto

KEEP_SECONDS = 120.0
MAX_KEPT = 512

APPLIED = b""
"""The request succeeded; its reply can be made again."""


class Known(Enum):
    """Answers of :meth:`Replies.begin` that are no reply."""

    NEW = auto()
    PENDING = auto()


class Replies:
    """Replies of one connection by request id, for two minutes and at most 512 of them."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()

    def begin(self, request: str, now: float) -> Known | bytes:
        """A request came: new, being worked on, or answered before with these bytes."""
        kept = self._kept
        while kept:
            oldest = next(iter(kept))
            if len(kept) < MAX_KEPT and kept[oldest][0] > now - KEEP_SECONDS:
                break
            del kept[oldest]
        if request in kept:
            reply = kept[request][1]
            return Known.PENDING if reply is None else reply
        kept[request] = (now, None)
        return Known.NEW

    def settle(self, request: str, reply: bytes) -> None:
        """The request was answered; ``reply`` is ``APPLIED`` where it need not be kept."""
        if request in self._kept:
            self._kept[request] = (self._kept[request][0], reply)

    def forget(self, request: str) -> None:
        """The request failed in a way that a repetition may mend."""
        self._kept.pop(request, None)

    def seed(self, requests: list[str], now: float) -> None:
        """Requests that an earlier socket of this session brought out."""
        for request in requests[-MAX_KEPT:]:
            self._kept[request] = (now, APPLIED)
