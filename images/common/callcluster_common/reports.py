"""Load reports: the JSON answers of ``GET /report`` on the control ports. Counts and opaque ids only."""

from __future__ import annotations

import msgspec


class SignalingReport(msgspec.Struct, frozen=True, rename="camel"):
    """What a signaling pod tells the operator."""

    version: str
    draining: bool
    sessions: int
    """Connected sessions."""
    rooms: dict[str, int]
    """Participants on this pod of each of its rooms, by opaque room name."""
    key_set: str = ""
    """Fingerprint of the TURN key set in use, empty before the first."""
    directive: str = ""
    """Fingerprint of the directive in use."""
    bus_up: bool = True
    """Whether it reaches Redis; without, nobody can join."""


class TURNReport(msgspec.Struct, frozen=True, rename="camel"):
    """What a TURN agent tells the operator."""

    version: str
    coturn_version: str
    draining: bool
    allocations: int
    key_set: str = ""
    """Fingerprint of the key set in coturn's table, empty before the first."""


class SFUReport(msgspec.Struct, frozen=True, rename="camel"):
    """What an SFU tells the operator."""

    version: str
    draining: bool
    rooms: int
    """Rooms whose seat it holds."""
    participants: int
    """Members that it forwards for, also of rooms whose seat it has given up since."""
    serving: bool = True
    """Whether it can take rooms: it knows its address, reaches Redis, and does not drain."""


Report = SignalingReport | TURNReport | SFUReport
