"""Reads what the scripts return."""

from __future__ import annotations

from typing import Any

from callcluster_common.bus import Entry, Occupant, RoomState


def text(value: bytes) -> str:
    """Bytes of Redis as text; what is not UTF-8 can't pass any check later on."""
    return value.decode(errors="replace")


def room_state(reply: list[Any]) -> RoomState:
    """The value of ``state()`` in ``lua/prelude.lua``."""
    epoch, off, locked, members, owners, seat, blocked = reply
    claims = {text(owners[i]): text(owners[i + 1]).partition(" ")[2] for i in range(0, len(owners), 2)}
    occupants = []
    for i in range(0, len(members), 2):
        sid = text(members[i])
        occupants.append(Occupant(sid, members[i + 1], claims.get(sid, ""), text(blocked[i // 2])))
    return RoomState(text(epoch), int(off), locked == b"1", occupants, text(seat))


def entries(found: list[Any]) -> list[Entry]:
    """Pairs of offset and line."""
    return [Entry(int(off), line) for off, line in found]
