"""The ephemeral lane between pods: sealed keys, mute requests, moved sockets, and talk with the SFU."""

from __future__ import annotations

import msgspec

from callcluster_common.messages.client import Layout, Offer
from callcluster_common.messages.server import (
    AnswerRelay,
    KeyAckRelay,
    KeyDeliver,
    KeyRequestRelay,
    MuteRequest,
    Sfu,
    SfuRefused,
)
from callcluster_common.messages.types import ToMember


class Parcels(msgspec.Struct, tag="parcels", frozen=True):
    """Frames for members of one room, each for one."""

    room: str
    """Opaque Redis name: a sid alone opens no other room's door."""
    parcels: list[tuple[str, str]]


class Replaced(msgspec.Struct, tag="replaced", frozen=True):
    """Another socket speaks for this member now."""

    sid: str
    claim: str
    """Of the socket that is to close."""


class ToSfu(msgspec.Struct, tag="to_sfu", frozen=True):
    """A member's frame, to the pod of the SFU that has the seat."""

    room: str
    claim: str
    """Of the seat."""
    sid: str
    from_claim: str
    """Of the member's socket."""
    frame: str
    """``Offer`` or ``Layout``."""


class FromSfu(msgspec.Struct, tag="from_sfu", frozen=True):
    """Frames for members of one room, from the SFU that has the seat."""

    room: str
    claim: str
    """Of the seat."""
    parcels: list[tuple[str, str]]


Post = Parcels | Replaced | ToSfu | FromSfu

_post = msgspec.json.Decoder(Post)
_member_frame = msgspec.json.Decoder(KeyDeliver | KeyAckRelay | KeyRequestRelay | MuteRequest)
_sfu_frame = msgspec.json.Decoder(AnswerRelay | SfuRefused | Sfu)
_to_sfu = msgspec.json.Decoder(Offer | Layout)
_encode = msgspec.json.Encoder().encode


def pack(post: Post) -> bytes:
    """Encode a post."""
    return _encode(post)


def unpack(data: bytes) -> Post:
    """Decode a post, and check every frame in it.

    Raises:
        ValueError: no honest pod sends this.
    """
    try:
        post: Post = _post.decode(data)
        if isinstance(post, Parcels):
            for _, frame in post.parcels:
                _member_frame.decode(frame)
        elif isinstance(post, FromSfu):
            for _, frame in post.parcels:
                _check_word(frame)
        elif isinstance(post, ToSfu):
            asked(post)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return post


def asked(post: ToSfu) -> Offer | Layout:
    """What the member asks of the SFU.

    Raises:
        ValueError: no honest pod sends this.
    """
    frame: Offer | Layout = _to_sfu.decode(post.frame)
    if isinstance(frame, Offer) and (isinstance(frame.to, ToMember) or not frame.fits):
        raise ValueError("an offer to the SFU says for which transport it is")
    return frame


def _check_word(frame: str) -> None:
    word = _sfu_frame.decode(frame)
    if word.off is not None or word.re is not None:
        raise ValueError("what an SFU says has no offset, and replies to no request")
    if isinstance(word, AnswerRelay) and not word.by_sfu:
        raise ValueError("an answer of the SFU says for which transport it is")
