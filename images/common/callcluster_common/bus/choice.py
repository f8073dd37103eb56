"""Chooses the bus that REDIS_URL names."""

from __future__ import annotations

from callcluster_common.bus import Bus
from callcluster_common.bus.memory import MemoryBus
from callcluster_common.bus.redis import RedisBus


def make_bus(url: str, name: str) -> Bus:
    """The bus of ``memory://``, ``redis://`` or ``rediss://`` for a pod that is a ``name``."""
    if url.startswith("memory://"):
        return MemoryBus()
    return RedisBus(url, name)
