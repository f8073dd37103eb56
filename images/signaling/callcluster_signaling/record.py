"""What the bus keeps of a session."""

from __future__ import annotations

import msgspec

from callcluster_signaling.tokens import Identity


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What another pod needs to take up a session."""

    identity: Identity
    cid: str
    secret: str
    """Hash of the resume token."""
    room: str = ""
