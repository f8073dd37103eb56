"""The ephemeral lane between pods: sealed keys, mute requests, and news of sockets that were taken over."""

from __future__ import annotations

import msgspec

from callcluster_common.messages.server import KeyAckRelay, KeyDeliver, KeyRequestRelay, MuteRequest


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


_post = msgspec.json.Decoder(Parcels | Replaced)
_frame = msgspec.json.Decoder(KeyDeliver | KeyAckRelay | KeyRequestRelay | MuteRequest)
_encode = msgspec.json.Encoder().encode


def pack(post: Parcels | Replaced) -> bytes:
    """Encode a post."""
    return _encode(post)


def unpack(data: bytes) -> Parcels | Replaced:
    """Decode a post, and check every frame in it.

    Raises:
        ValueError: no honest pod sends this.
    """
    try:
        post: Parcels | Replaced = _post.decode(data)
        if isinstance(post, Parcels):
            for _, frame in post.parcels:
                _frame.decode(frame)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return post
