"""Turns a text frame of a client into a typed message, or into the error that the client gets."""

from __future__ import annotations

from typing import get_args

import msgspec
from callcluster_common.messages.client import ClientFrame

_decoder: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)
TYPES = frozenset(str(kind.__struct_config__.tag) for kind in get_args(ClientFrame))


class _Envelope(msgspec.Struct):
    """What can be read of a frame that does not fit its schema."""

    t: str = ""
    id: str | None = None


_envelope = msgspec.json.Decoder(_Envelope)


class UnreadableError(Exception):
    """The frame can't be acted on."""

    def __init__(self, code: str, message: str, request: str | None) -> None:
        super().__init__(message)
        self.code = code
        self.request = request


def request_id(raw: str) -> str | None:
    """The request id of a frame whatever else is wrong with it, so that it can be answered."""
    try:
        found = _envelope.decode(raw).id
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return found if found and len(found) <= 64 else None


def read(raw: str) -> ClientFrame:
    """Decode and check a frame.

    Raises:
        UnreadableError: ``malformed`` or ``unsupported``.
    """
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        try:
            envelope = _envelope.decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            raise UnreadableError("malformed", "a frame is one JSON object", None) from None
        if envelope.t and envelope.t not in TYPES:
            raise UnreadableError(
                "unsupported", "this server does not know this type", request_id(raw)
            ) from None
        # msgspec names the path and the expected type.
        raise UnreadableError("malformed", str(error)[:200], request_id(raw)) from None
