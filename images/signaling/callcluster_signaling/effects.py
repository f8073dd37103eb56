"""What a session wants done. The hub does it, and tells the session how it went."""

from __future__ import annotations

import msgspec
from callcluster_common.messages.client import BlockData
from callcluster_common.messages.types import Bundle, MediaKind

from callcluster_signaling.room import DurableFrame
from callcluster_signaling.roster_line import Change


class Effect(msgspec.Struct, gc=False):
    """One wish; ``re`` is the request that waits for its outcome."""


class Send(Effect):
    """Write a frame."""

    data: bytes
    error: str = ""
    """Its error code, if it is one."""


class Close(Effect):
    """Close the socket."""

    code: int
    reason: str


class Open(Effect):
    """Record the new session."""

    re: str | None


class Resume(Effect):
    """Take up session ``sid``."""

    re: str | None
    sid: str
    secret: str
    """Hash of the resume token."""
    epoch: str
    off: int


class Join(Effect):
    """Enter a room."""

    re: str | None
    room: str
    bundle: Bundle | None
    meta: str


class Leave(Effect):
    """Leave the room; with ``bye`` end the session too."""

    re: str | None
    bye: bool


class Publish(Effect):
    """Bring a frame to one member (``to``) or the room, on the durable lane."""

    re: str | None
    to: str
    frame: DurableFrame
    change: Change | None = None
    """Of the sender's roster line, where the frame changes it."""
    locked: bool | None = None
    """The room's new lock, where the frame changes it."""
    block: BlockData | None = None
    """What the frame blocks of a member, or no longer."""


class Seal(Effect):
    """Bring frames to single members on the ephemeral lane."""

    re: str | None
    parcels: list[tuple[str, bytes]]
    strict: bool
    """Whether an absent recipient is an error."""


class TellSfu(Effect):
    """Bring a frame to the SFU that serves the room, on the ephemeral lane."""

    re: str | None
    frame: bytes


class Kick(Effect):
    """Remove a member."""

    re: str | None
    sid: str
    ban_ms: int


class Mute(Effect):
    """Ask a member to mute."""

    re: str | None
    sid: str
    kind: MediaKind


class End(Effect):
    """End the call."""

    re: str | None


class Turn(Effect):
    """Mint TURN credentials."""

    re: str | None


class Save(Effect):
    """Record the session again: its token changed."""

    re: str | None


class Rejoin(Effect):
    """Answer a repeated ``join`` of a member that is in the room already."""

    re: str | None
