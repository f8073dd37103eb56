"""Ends the lease of an SFU's seat before its time, on either bus."""

from __future__ import annotations

from callcluster_common.bus import Bus
from callcluster_common.bus.memory import MemoryBus
from callcluster_common.redis_keys import RoomKeys

from kit.redis_server import RedisServer


def lapse_in_memory(bus: Bus, room: RoomKeys) -> None:
    assert isinstance(bus, MemoryBus)
    if ledger := bus._rooms.get(room.name):
        ledger.seat_until = 0


def lapse_in_redis(server: RedisServer, bus: Bus, room: RoomKeys) -> None:
    server.call("DEL", room.seat)
