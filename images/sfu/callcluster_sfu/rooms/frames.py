"""What members and the SFU say to each other, on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from callcluster_sfu.room import Wish
from callcluster_sfu.rooms.says import Answer, Refusal, Tracks
from callcluster_sfu.rooms.seat import Offered


class ToSfu(msgspec.Struct, tag="to_sfu", frozen=True):
    """A frame of a member, handed on by its signaling pod."""

    room: str
    claim: str
    sid: str
    from_claim: str
    frame: str


class FromSfu(msgspec.Struct, tag="from_sfu", frozen=True):
    """Frames for members of one room, each for one."""

    room: str
    claim: str
    parcels: list[tuple[str, str]]


class Layout(msgspec.Struct, frozen=True):
    """How a member wants tracks."""

    sid: str
    wishes: dict[str, Wish]


class OfferData(msgspec.Struct, forbid_unknown_fields=True):
    """An offer on one route."""

    sdp: str
    route: str
    seq: int
    wants: dict[str, str] = {}


class Offer(msgspec.Struct, tag_field="t", tag="offer"):
    """A member's offer to the SFU."""

    to: Literal["sfu"]
    d: OfferData
    id: str | None = None


class WishData(msgspec.Struct, forbid_unknown_fields=True):
    """How a member wants one track."""

    highest: Annotated[int, msgspec.Meta(ge=0, le=2)] | None = None
    paused: bool = False


class LayoutData(msgspec.Struct):
    """Wishes by track."""

    wishes: dict[str, WishData]


class LayoutFrame(msgspec.Struct, tag_field="t", tag="layout"):
    """A member's wishes."""

    d: LayoutData
    id: str | None = None


_to_sfu = msgspec.json.Decoder(ToSfu)
_frame = msgspec.json.Decoder(Offer | LayoutFrame)
_encode = msgspec.json.Encoder().encode


def to_sfu(data: bytes) -> ToSfu | None:
    """A post of signaling, or None for what is none."""
    try:
        return _to_sfu.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return None


def from_sfu(post: FromSfu) -> bytes:
    """A post to signaling."""
    return _encode(post)


def request(sid: str, frame: str) -> Offered | Layout | None:
    """What a member's frame asks for, or None for what no honest pod hands on."""
    try:
        found = _frame.decode(frame)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if isinstance(found, Offer):
        return Offered(sid, found.d.route, found.d.seq, found.d.sdp, found.d.wants)
    return Layout(sid, {t: Wish(w.highest, w.paused) for t, w in found.d.wishes.items()})


def answer(said: Answer) -> str:
    """The frame ``answer``."""
    return _encode(
        {
            "t": "answer",
            "from": "sfu",
            "d": {
                "sdp": said.sdp,
                "route": said.route,
                "seq": said.seq,
                "published": said.published,
                "unserved": said.unserved,
            },
        }
    ).decode()


def refusal(said: Refusal) -> str:
    """The frame ``sfu.refused``."""
    return _encode(
        {"t": "sfu.refused", "d": {"route": said.route, "seq": said.seq, "reason": said.reason}}
    ).decode()


def tracks(said: Tracks) -> str:
    """The frame ``sfu``."""
    return _encode(
        {
            "t": "sfu",
            "d": {
                "route": said.route,
                "rev": said.revision,
                "tracks": [
                    {"track": t.name, "sid": t.member, "kind": t.kind, "mid": t.mid, "muted": t.muted}
                    for t in said.tracks
                ],
            },
        }
    ).decode()
