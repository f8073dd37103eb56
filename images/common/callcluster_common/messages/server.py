"""Frames that servers send."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from callcluster_common.messages.client import (
    DescriptionData,
    Empty,
    IceData,
    KeyIdData,
    MsgData,
    PingData,
)
from callcluster_common.messages.types import (
    MAX_TRACKS,
    SFU,
    Bundle,
    Grants,
    IceServer,
    Limits,
    MediaKind,
    MediaState,
    Member,
    Mid,
    Milliseconds,
    Offset,
    RequestId,
    RoomId,
    Route,
    Seat,
    Sender,
    Seq,
    SfuClaim,
    Sid,
    Snapshot,
    TrackKind,
    TrackName,
    UnixSeconds,
)


class WelcomeData(msgspec.Struct):
    """First frame of every socket."""

    versions: list[str]
    limits: Limits
    guest: bool
    """Whether ``hello`` may come without a token."""


class HelloOkData(msgspec.Struct, omit_defaults=True):
    """A session was opened."""

    sid: Sid
    resume_token: str
    resume_window_ms: Milliseconds
    exp: UnixSeconds | None = None
    """When the token expires; absent for guests."""


class ResumeOkData(msgspec.Struct, omit_defaults=True):
    """A session was taken up; with ``recovered`` the missed frames follow, without it a snapshot."""

    sid: Sid
    recovered: bool
    missed: int
    resume_token: str
    room: RoomId | None = None
    epoch: str = ""
    off: Offset = 0
    snapshot: Snapshot | None = None
    ice_servers: list[IceServer] = msgspec.field(default_factory=list)
    turn_ttl_s: int = 0


class JoinOkData(msgspec.Struct, omit_defaults=True):
    """The room as it is at ``off``, this member included."""

    room: RoomId
    epoch: str
    off: Offset
    snapshot: Snapshot
    grants: Grants
    ice_servers: list[IceServer] = msgspec.field(default_factory=list)
    turn_ttl_s: int = 0
    """Life of the TURN credentials; 0 where there is no TURN server."""


class SnapshotData(msgspec.Struct):
    """Replaces all that the client knew of the room."""

    epoch: str
    off: Offset
    members: list[Member]
    locked: bool
    sfu: Seat = ""
    """Claim of the SFU that serves the room; empty if none does."""


EventKind = Literal[
    "joined", "left", "updated", "renewed", "reconnecting", "resumed", "blocked", "locked", "ended", "sfu"
]
LeftReason = Literal["left", "timeout", "kicked", "ended"]


class EventData(msgspec.Struct, omit_defaults=True):
    """What happened in the room. ``sid`` names the member; the other fields go with their kind."""

    kind: EventKind
    sid: Sid | None = None
    member: Member | None = None
    """With ``joined``."""
    reason: LeftReason | None = None
    """With ``left``."""
    state: MediaState | None = None
    """With ``updated``."""
    bundle: Bundle | None = None
    """With ``renewed``."""
    media: TrackKind | None = None
    """With ``blocked``."""
    blocked: bool | None = None
    """With ``blocked``: whether the SFU hands on nothing of the member's ``media``."""
    locked: bool | None = None
    """With ``locked``."""
    sfu: SfuClaim | None = None
    """With ``sfu``: claim of the SFU that serves the room from now on; absent if none does."""


class AnswerData(DescriptionData, omit_defaults=True):
    """An SDP answer. The fields after ``sdp`` stand in answers of the SFU, and in no other."""

    route: Route | None = None
    seq: Seq | None = None
    """Of the offer that is answered."""
    published: Annotated[dict[Mid, TrackName], msgspec.Meta(max_length=MAX_TRACKS)] | None = None
    """Names of the member's own tracks."""
    unserved: Annotated[list[Mid], msgspec.Meta(max_length=MAX_TRACKS)] | None = None
    """Media sections that wanted more than the SFU gives."""


class SfuRefusedData(msgspec.Struct):
    """The SFU did not take an offer."""

    route: Route
    seq: Seq
    reason: Annotated[str, msgspec.Meta(max_length=256)]
    """In words for a developer."""


class Track(msgspec.Struct):
    """A track that the SFU forwards to who wants it."""

    track: TrackName
    sid: Sid
    """Of the member that sends it."""
    kind: TrackKind
    mid: Mid
    """Of the sender's description."""
    muted: bool
    """Whether it is handed on to nobody, since a moderator has blocked it."""


class SfuData(msgspec.Struct):
    """What the SFU has for this member, all of it each time."""

    route: Route
    """To offer on; another one than before asks for a new connection."""
    rev: Seq
    """Rises when the tracks change."""
    tracks: list[Track]


class KeyDeliverData(msgspec.Struct):
    """A sealed media key for this member."""

    body: str


class MuteRequestData(msgspec.Struct):
    """A moderator asks to mute."""

    kind: MediaKind


class TurnData(msgspec.Struct):
    """Fresh TURN credentials: set the configuration, and restart ICE if a relay is in use."""

    ice_servers: list[IceServer]
    turn_ttl_s: int


class GoawayData(msgspec.Struct):
    """This server drains: open a new socket and resume within ``by_ms``."""

    reason: Literal["drain"]
    by_ms: Milliseconds
    reconnect_after_ms: Milliseconds


Next = Literal["rejoin", "new_token"]
"""What a client does after ``resume_failed``."""


class ErrorData(msgspec.Struct, omit_defaults=True):
    """What went wrong, in words for a developer, with a code of ``ERRORS``."""

    code: str
    message: str
    retryable: bool = False
    retry_after_ms: Milliseconds | None = None
    next: Next | None = None


class ServerFrame(
    msgspec.Struct, tag_field="t", omit_defaults=True, kw_only=True, rename={"from_": "from"}
):
    """What every server frame may carry."""

    re: RequestId | None = None
    off: Offset | None = None
    from_: Sender | None = None


class Welcome(ServerFrame, tag="welcome"):
    """First frame of every socket."""

    d: WelcomeData


class HelloOk(ServerFrame, tag="hello.ok"):
    """Answers ``hello``."""

    d: HelloOkData


class ResumeOk(ServerFrame, tag="resume.ok"):
    """Answers ``resume``."""

    d: ResumeOkData


class JoinOk(ServerFrame, tag="join.ok"):
    """Answers ``join``."""

    d: JoinOkData


class Ok(ServerFrame, tag="ok"):
    """Answers every other request that succeeded."""

    d: Empty = msgspec.field(default_factory=Empty)


class SnapshotFrame(ServerFrame, tag="snapshot"):
    """Replaces the roster, after a loss that no replay can mend."""

    d: SnapshotData


class Event(ServerFrame, tag="ev"):
    """Something happened in the room; durable."""

    d: EventData


class OfferRelay(ServerFrame, tag="offer"):
    """An offer from a member."""

    d: DescriptionData


class AnswerRelay(ServerFrame, tag="answer"):
    """An answer: from a member, durable; or from the SFU, ephemeral."""

    d: AnswerData

    @property
    def by_sfu(self) -> bool:
        """Whether it has what an answer of the SFU needs."""
        return self.from_ == SFU and self.d.route is not None and self.d.seq is not None


class SfuRefused(ServerFrame, tag="sfu.refused"):
    """The SFU did not take an offer; ephemeral."""

    d: SfuRefusedData


class Sfu(ServerFrame, tag="sfu"):
    """What the SFU that serves the room has for this member; ephemeral."""

    d: SfuData


class IceRelay(ServerFrame, tag="ice"):
    """Candidates from a member."""

    d: IceData


class RestartRelay(ServerFrame, tag="restart"):
    """A member asks for an ICE restart."""

    d: Empty


class KeyDeliver(ServerFrame, tag="key.deliver"):
    """A sealed media key from a member."""

    d: KeyDeliverData


class KeyAckRelay(ServerFrame, tag="key.ack"):
    """A member has this member's key."""

    d: KeyIdData


class KeyRequestRelay(ServerFrame, tag="key.request"):
    """A member lacks this member's key."""

    d: KeyIdData


class MsgRelay(ServerFrame, tag="msg"):
    """Application data from a member."""

    d: MsgData


class MuteRequest(ServerFrame, tag="mute.request"):
    """A moderator asks to mute."""

    d: MuteRequestData


class Turn(ServerFrame, tag="turn"):
    """Fresh TURN credentials."""

    d: TurnData


class Goaway(ServerFrame, tag="goaway"):
    """This server drains."""

    d: GoawayData


class Pong(ServerFrame, tag="pong"):
    """Answers ``ping``."""

    d: PingData


class Error(ServerFrame, tag="error"):
    """A request failed, or a frame could not be used."""

    d: ErrorData


AnyServerFrame = (
    Welcome
    | HelloOk
    | ResumeOk
    | JoinOk
    | Ok
    | SnapshotFrame
    | Event
    | OfferRelay
    | AnswerRelay
    | SfuRefused
    | Sfu
    | IceRelay
    | RestartRelay
    | KeyDeliver
    | KeyAckRelay
    | KeyRequestRelay
    | MsgRelay
    | MuteRequest
    | Turn
    | Goaway
    | Pong
    | Error
)
