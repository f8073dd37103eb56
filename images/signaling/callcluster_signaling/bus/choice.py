"""Chooses the bus that REDIS_URL names."""

from __future__ import annotations

from callcluster_signaling.bus import Bus
from callcluster_signaling.bus.memory import MemoryBus
from callcluster_signaling.bus.redis import RedisBus


def make_bus(url: str) -> Bus:
    """The bus of ``memory://``, ``redis://`` or ``rediss://``."""
    if url.startswith("memory://"):
        return MemoryBus()
    return RedisBus(url)
