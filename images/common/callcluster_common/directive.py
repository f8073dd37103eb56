"""What the operator tells the signaling pods: TURN servers and the rules of declared rooms.

It travels as the file ``directive.json`` of a ConfigMap. It holds no secret and no identity.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

DIRECTIVE_FILE = "directive.json"


class DirectiveError(ValueError):
    """The directive can't be used; the message says why."""


class RoomRule(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Rules of one declared room."""

    key: str
    """Opaque name: ``room_names.room_key`` of its id."""
    max_participants: int
    closed: bool = False
    asked: int = 0
    """How often the operator has asked again to end the closed room: a changed directive is a new try."""
    own_sfu: bool = False
    """Whether the room is served by an SFU of its own, which knows it by ``key``, and by no other."""


class Directive(msgspec.Struct, frozen=True, rename="camel"):
    """The whole of it: what is absent does not hold any more."""

    turn_uris: tuple[str, ...] = ()
    """``turn:`` and ``turns:`` URIs (RFC 7065) of the servers that take new sessions, best first."""
    stun_uris: tuple[str, ...] = ()
    turn_ttl_seconds: Annotated[int, msgspec.Meta(ge=10)] = 3600
    rooms: tuple[RoomRule, ...] = ()


def parse(data: bytes | str) -> Directive:
    """Read a directive.

    Raises:
        DirectiveError: not JSON, or a field does not fit.
    """
    try:
        return msgspec.json.decode(data, type=Directive)
    except msgspec.MsgspecError as error:
        raise DirectiveError(f"directive: {error}") from None


def encode(directive: Directive) -> bytes:
    """Write a directive; equal directives give equal bytes."""
    return msgspec.json.encode(directive)


def fingerprint(directive: Directive) -> str:
    """Acknowledgement of a directive: 16 hex digits."""
    return hashlib.sha256(encode(directive)).hexdigest()[:16]
