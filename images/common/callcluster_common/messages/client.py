"""Frames that clients send."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from callcluster_common.messages.types import (
    MAX_KEY_ENTRIES,
    MAX_TRACKS,
    Attempt,
    Bundle,
    ConnectionId,
    IceCandidate,
    KeyId,
    MediaKind,
    MediaState,
    Mid,
    Offset,
    RequestId,
    RoomId,
    Route,
    Sdp,
    Sealed,
    Seq,
    Sid,
    Target,
    Token,
    ToMember,
    TrackKind,
    TrackName,
    whole,
)


class Empty(msgspec.Struct, forbid_unknown_fields=True):
    """No data."""


class HelloData(msgspec.Struct, forbid_unknown_fields=True):
    """Opens a session; ``token`` may be absent for guests, or where the subprotocol carried it."""

    cid: ConnectionId
    """Chosen by the client, the same for every socket of one page: the newest attempt wins."""
    attempt: Attempt = 0
    token: Token | None = None


class ResumeData(msgspec.Struct, forbid_unknown_fields=True):
    """Takes up a session on a new socket, on any server."""

    resume_token: Token
    cid: ConnectionId
    attempt: Attempt
    epoch: Annotated[str, msgspec.Meta(max_length=64)] = ""
    off: Offset = 0
    """Highest offset seen; its epoch is that of the last ``join.ok``, ``resume.ok`` or ``snapshot``."""


class JoinData(msgspec.Struct, forbid_unknown_fields=True):
    """Enters a room."""

    room: RoomId
    bundle: Bundle | None = None
    meta: Sealed = ""


class DescriptionData(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An SDP description."""

    sdp: Sdp


class OfferData(DescriptionData, forbid_unknown_fields=True, omit_defaults=True):
    """An SDP offer. The fields after ``sdp`` stand in every offer to the SFU, and in no other."""

    route: Route | None = None
    """The transport that it is for, as the SFU's ``sfu`` named it."""
    seq: Seq | None = None
    """Rises with each offer on the route; the same again gets the same answer."""
    wants: Annotated[dict[Mid, TrackName], msgspec.Meta(max_length=MAX_TRACKS)] | None = None
    """The track that each media section is to receive."""


class Wish(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How a member wants one track."""

    highest: Annotated[int, msgspec.Meta(ge=0, le=2)] | None = None
    """Place of the best encoding that is of use, 0 the lowest; absent for the very best."""
    paused: bool = False


class LayoutData(msgspec.Struct, forbid_unknown_fields=True):
    """How a member wants tracks; those that are not named stay as they are."""

    wishes: Annotated[dict[TrackName, Wish], msgspec.Meta(max_length=MAX_TRACKS)]


class IceData(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Trickled candidates; ``end`` says that no more follow."""

    candidates: Annotated[list[IceCandidate], msgspec.Meta(max_length=64)] = msgspec.field(
        default_factory=list
    )
    end: bool = False


class KeyEntry(msgspec.Struct, forbid_unknown_fields=True):
    """A sealed media key for one member (docs/e2ee.md, section 4)."""

    to: Sid
    body: Annotated[str, msgspec.Meta(pattern=whole(r"[A-Za-z0-9_-]{1,1024}"))]


class KeySendData(msgspec.Struct, forbid_unknown_fields=True):
    """Sealed media keys, one entry for each recipient and no second one; each gets its own entry only."""

    entries: Annotated[list[KeyEntry], msgspec.Meta(min_length=1, max_length=MAX_KEY_ENTRIES)]


class KeyIdData(msgspec.Struct, forbid_unknown_fields=True):
    """Names a media key of the addressed (request) or addressing (ack) relation."""

    kid: KeyId


class MsgData(msgspec.Struct, forbid_unknown_fields=True):
    """Application data, sealed by the client."""

    body: Annotated[str, msgspec.Meta(min_length=1, max_length=8_192)]


class KickData(msgspec.Struct, forbid_unknown_fields=True):
    """Removes a member and keeps it away for ``ban_s`` seconds."""

    sid: Sid
    ban_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0


class MuteData(msgspec.Struct, forbid_unknown_fields=True):
    """Asks a member to stop sending a kind of media."""

    sid: Sid
    kind: MediaKind


class BlockData(msgspec.Struct, forbid_unknown_fields=True):
    """Keeps a kind of a member's media from everybody, or no longer."""

    sid: Sid
    media: TrackKind
    blocked: bool


class LockData(msgspec.Struct, forbid_unknown_fields=True):
    """Locks or unlocks the room for newcomers."""

    locked: bool


class BundleData(msgspec.Struct, forbid_unknown_fields=True):
    """A fresh bundle of the same keys."""

    bundle: Bundle


class TokenData(msgspec.Struct, forbid_unknown_fields=True):
    """A fresh token of the same subject and room."""

    token: Token


class PingData(msgspec.Struct, forbid_unknown_fields=True):
    """A client's clock reading, sent back unchanged."""

    ts: float


class Frame(msgspec.Struct, tag_field="t", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What every client frame may carry."""

    id: RequestId | None = None


class Hello(Frame, tag="hello"):
    """First frame of a new session."""

    d: HelloData


class Resume(Frame, tag="resume"):
    """First frame of a resumed session."""

    d: ResumeData


class Join(Frame, tag="join"):
    """Enters a room; answered by ``join.ok``."""

    d: JoinData


class Leave(Frame, tag="leave"):
    """Leaves the room and keeps the session."""

    d: Empty = msgspec.field(default_factory=Empty)


class Bye(Frame, tag="bye"):
    """Ends the session: nothing is kept for a resume."""

    d: Empty = msgspec.field(default_factory=Empty)


class Offer(Frame, tag="offer"):
    """An SDP offer to a member, durable; or to the SFU, ephemeral: repeat it if no answer comes."""

    to: ToMember | Literal["sfu"]
    d: OfferData

    @property
    def fits(self) -> bool:
        """Whether it has the fields that go with its recipient."""
        given = [field is not None for field in (self.d.route, self.d.seq, self.d.wants)]
        return not any(given) if isinstance(self.to, ToMember) else all(given)


class Answer(Frame, tag="answer"):
    """An SDP answer to a member; durable."""

    to: ToMember
    d: DescriptionData


class Ice(Frame, tag="ice"):
    """ICE candidates to a member; durable."""

    to: ToMember
    d: IceData


class Layout(Frame, tag="layout"):
    """Says to the SFU how this member wants tracks; ephemeral."""

    d: LayoutData


class Restart(Frame, tag="restart"):
    """Asks a member for an ICE restart; durable."""

    to: ToMember
    d: Empty = msgspec.field(default_factory=Empty)


class KeySend(Frame, tag="key.send"):
    """Sealed media keys; ephemeral, never stored."""

    d: KeySendData


class KeyAck(Frame, tag="key.ack"):
    """Says to a sender that its key arrived; ephemeral."""

    to: ToMember
    d: KeyIdData


class KeyRequest(Frame, tag="key.request"):
    """Asks a sender for a key that is missing; ephemeral."""

    to: ToMember
    d: KeyIdData


class Msg(Frame, tag="msg"):
    """Application data to a member or the room; durable."""

    to: Target
    d: MsgData


class State(Frame, tag="state"):
    """What this member sends now; durable."""

    d: MediaState


class BundleRefresh(Frame, tag="bundle.refresh"):
    """Replaces this member's bundle in the roster before the old one runs out; durable."""

    d: BundleData


class ModKick(Frame, tag="mod.kick"):
    """Removes a member; needs the grant ``mod``."""

    d: KickData


class ModMute(Frame, tag="mod.mute"):
    """Asks a member to mute; needs the grant ``mod``."""

    d: MuteData


class ModBlock(Frame, tag="mod.block"):
    """Has the SFU hand on nothing of a kind of a member's media, or again; needs the grant ``mod``."""

    d: BlockData


class ModLock(Frame, tag="mod.lock"):
    """Locks the room; needs the grant ``mod``."""

    d: LockData


class ModEnd(Frame, tag="mod.end"):
    """Ends the call for everyone; needs the grant ``mod``."""

    d: Empty = msgspec.field(default_factory=Empty)


class TurnRefresh(Frame, tag="turn.refresh"):
    """Asks for fresh TURN credentials; answered by ``turn``."""

    d: Empty = msgspec.field(default_factory=Empty)


class TokenRefresh(Frame, tag="token.refresh"):
    """Hands in a fresh token before the old one expires."""

    d: TokenData


class Ping(Frame, tag="ping"):
    """Measures the round trip and keeps middleboxes awake."""

    d: PingData


ClientFrame = (
    Hello
    | Resume
    | Join
    | Leave
    | Bye
    | Offer
    | Answer
    | Ice
    | Restart
    | Layout
    | KeySend
    | KeyAck
    | KeyRequest
    | Msg
    | State
    | BundleRefresh
    | ModKick
    | ModMute
    | ModBlock
    | ModLock
    | ModEnd
    | TurnRefresh
    | TokenRefresh
    | Ping
)
