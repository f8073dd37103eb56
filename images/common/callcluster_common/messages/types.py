"""Values, limits and codes that frames of both directions are made of."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final, Literal

import msgspec

SUBPROTOCOL = "sig.v1"
"""WebSocket subprotocol that both sides must agree on."""

SUBPROTOCOL_PREFIX = "sig."
"""Of every version's subprotocol."""

BEARER_SUBPROTOCOL_PREFIX = "bearer."
"""A second offered subprotocol may carry the token: ``bearer.<jwt>``; it is never selected."""

MAX_FRAME_BYTES = 65_536
MAX_FRAME_BYTES_BEFORE_HELLO = 8_192
MAX_SDP_BYTES = 49_152
"""JSON spends two characters more on each line end: a frame has room for that and more."""
MAX_KEY_ENTRIES = 128
MAX_TRACKS = 256
"""That one frame may speak of."""


def whole(pattern: str) -> str:
    r"""A pattern for the whole value, in Python as in JavaScript and JSON Schema.

    Python's ``$`` lets a line feed follow, and its ``\Z`` means nothing elsewhere.
    """
    return rf"^{pattern}$(?!\n)"


Sid = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9_-]{8,64}"))]
RequestId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
RoomId = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9._~-]{1,128}"))]
ConnectionId = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9_-]{8,64}"))]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)]
Key32 = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9_-]{43}"))]
"""32 bytes, base64url without padding."""
Signature = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9_-]{86}"))]
"""64 bytes, base64url without padding."""
Sdp = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SDP_BYTES)]
Sealed = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9_-]{0,2048}"))]
"""Bytes that only members can open, base64url: the server relays them and never looks inside."""
KeyId = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Attempt = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Offset = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
UnixSeconds = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0)]
MediaKind = Literal["audio", "video", "screen"]
TrackKind = Literal["audio", "video"]
"""Of a track that an SFU forwards: to it a screen is video."""
SFU: Final = "sfu"
"""Addresses the SFU that serves the room, where a member would have its sid."""
Sender = Annotated[str, msgspec.Meta(pattern=whole(r"(sfu|[A-Za-z0-9_-]{8,64})"))]
"""A member's sid, or the SFU."""
SfuClaim = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9._-]{1,64}"))]
"""Of the SFU that serves the room: another one after each change of hands."""
Seat = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9._-]{0,64}"))]
"""The claim of the SFU that serves a room, or empty."""
Route = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9._-]{1,96}"))]
"""One transport between a member and an SFU, named by the SFU."""
Seq = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Mid = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
"""A media section of an SDP description."""
TrackName = Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9_-]{1,32}"))]
"""A track that an SFU forwards, unique in its room."""


class CloseCode(IntEnum):
    """WebSocket close codes; 40xx ask the client to come back, 45xx are final."""

    DRAIN = 4001
    """This server is going away: resume elsewhere."""
    SLOW = 4002
    """The send queue overflowed: resume from the last offset."""
    INTERNAL = 4003
    POSITION_LOST = 4004
    """The offset can't be served any more: resume gives a snapshot."""
    REPLACED = 4005
    """The same connection id came back on a newer socket: do nothing."""
    RATE_LIMITED = 4006
    BAD_TOKEN = 4500
    TOKEN_EXPIRED = 4501
    KICKED = 4502
    ROOM_ENDED = 4503
    PROTOCOL_ERROR = 4504
    UNSUPPORTED_VERSION = 4505
    DUPLICATE_IDENTITY = 4506
    BANNED = 4507


class ErrorCode(msgspec.Struct, frozen=True):
    """Error codes of ``error`` frames with what a client should do; see ``ERRORS``."""

    meaning: str
    retryable: bool


ERRORS: dict[str, ErrorCode] = {
    "malformed": ErrorCode("the frame is not JSON or does not fit its type's schema", False),
    "unsupported": ErrorCode("this server does not know the message type", False),
    "not_authenticated": ErrorCode("hello or resume must come first", False),
    "not_joined": ErrorCode("join a room first", False),
    "already_joined": ErrorCode("this connection is in a room already; leave it first", False),
    "forbidden": ErrorCode("the token's grants do not allow this", False),
    "no_such_member": ErrorCode("the addressed member is not in the room", False),
    "no_sfu": ErrorCode("no SFU serves the room; members connect to one another", True),
    "room_full": ErrorCode("the room has reached its maximum of participants", False),
    "room_locked": ErrorCode("the room is locked", False),
    "room_closed": ErrorCode("the room is closed", False),
    "banned": ErrorCode("the member was removed from this room and may not come back yet", False),
    "resume_failed": ErrorCode("the session is gone; `next` says how to go on", False),
    "rate_limited": ErrorCode("too many messages, or too many bytes; wait `retry_after_ms`", True),
    "unavailable": ErrorCode("the bus is out of reach; try again after `retry_after_ms`", True),
    "too_large": ErrorCode("the message exceeds a limit of `welcome`", False),
}


class Bundle(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Public keys of one member for one join, signed by its identity key (docs/e2ee.md, section 3)."""

    suite: Literal["kx1"]
    ik: Key32
    """Ed25519 identity public key."""
    ek: Key32
    """X25519 public key, fresh for each join."""
    nbf: UnixSeconds
    exp: UnixSeconds
    sig: Signature
    mac: Key32 | None = None
    """HMAC-SHA-256 under the room secret; absent in a room without one."""


class MediaState(msgspec.Struct, forbid_unknown_fields=True):
    """What a member says that it sends; shown to others, never trusted for anything else."""

    audio: bool = False
    video: bool = False
    screen: bool = False
    hand: bool = False


class Member(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One line of the roster."""

    sid: Sid
    bundle: Bundle | None = None
    meta: Sealed = ""
    """Display name and the like, sealed under the room secret."""
    state: MediaState = msgspec.field(default_factory=MediaState)
    reconnecting: bool = False
    blocked: list[TrackKind] = msgspec.field(default_factory=list)
    """What the SFU hands on to nobody, since a moderator has blocked it."""


class Snapshot(msgspec.Struct):
    """The whole roster at one offset: members that are absent here are gone."""

    members: list[Member]
    locked: bool = False
    sfu: Seat = ""
    """Claim of the SFU that serves the room; empty if none does."""


class IceServer(msgspec.Struct, omit_defaults=True):
    """An RTCIceServer of the W3C's WebRTC API."""

    urls: list[str]
    username: str = ""
    credential: str = ""


class IceCandidate(msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """An RTCIceCandidateInit of the W3C's WebRTC API."""

    candidate: Annotated[str, msgspec.Meta(max_length=512)]
    sdp_mid: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    sdp_m_line_index: Annotated[int, msgspec.Meta(ge=0, le=1023)] | None = None
    username_fragment: Annotated[str, msgspec.Meta(max_length=256)] | None = None


class ToMember(msgspec.Struct, forbid_unknown_fields=True):
    """Addresses one member."""

    sid: Sid


Target = ToMember | Literal["room"]


class Grants(msgspec.Struct, omit_defaults=False):
    """What a token allows (claim ``g``)."""

    pub: list[Literal["mic", "cam", "screen"]] = msgspec.field(
        default_factory=lambda: ["mic", "cam", "screen"]
    )
    msg: bool = True
    mod: bool = False


class Limits(msgspec.Struct):
    """Limits that ``welcome`` announces; bytes unless the name says otherwise."""

    frame_bytes: int = MAX_FRAME_BYTES
    sdp_bytes: int = MAX_SDP_BYTES
    message_bytes: int = 8_192
    key_entries: int = MAX_KEY_ENTRIES
    messages_per_second: int = 30
    bytes_per_second: int = 65_536
    room_members: int = 500
