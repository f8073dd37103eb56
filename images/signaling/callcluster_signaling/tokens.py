"""Join tokens: JWTs (RFC 7519) that an application signs for its users."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal

import jwt
import msgspec
from callcluster_common.messages.types import Grants

AUDIENCE = "callcluster"
ALGORITHMS = ["HS256"]
"""Fixed: the token's header never chooses."""
LEEWAY_SECONDS = 10
MIN_SECRET_BYTES = 32

ROOM_CLAIM = re.compile(r"[A-Za-z0-9._~*-]{1,128}")


class TokenError(Exception):
    """The token is not accepted; ``code`` is the close code's name, the message holds none of it."""

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who a session speaks for and what it may do."""

    user: str
    """Hash of the token's subject: equal for equal users, and never a name."""
    rooms: str
    """Room id, with ``*`` for any run of characters."""
    grants: Grants
    exp: int | None = None
    """Unix seconds; ``None`` for guests, who have no token."""
    jti: str = ""
    """Hash of the token's id, empty where it has none."""

    def may_enter(self, room_id: str) -> bool:
        """Whether the room claim covers this room."""
        first, *others = self.rooms.split("*")
        if not others:
            return room_id == first
        *middle, last = others
        if len(room_id) < len(first) + len(last) or not room_id.startswith(first):
            return False
        # No regular expression: one with many stars takes longer than the universe will.
        at, end = len(first), len(room_id) - len(last)
        for part in middle:
            found = room_id.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return room_id.endswith(last)

    def expired(self, wall: float) -> bool:
        """Whether the token ran out, leeway included, at Unix time ``wall``."""
        return self.exp is not None and wall > self.exp + LEEWAY_SECONDS


class _Claims(msgspec.Struct):
    """The claims that matter; types are checked here, signature and times by PyJWT."""

    sub: str
    room: str
    exp: Annotated[int, msgspec.Meta(le=2**53)] | Annotated[float, msgspec.Meta(le=2**53)]
    """Beyond that a browser could not even read it."""
    g: Grants = msgspec.field(default_factory=Grants)
    jti: str = ""


def opaque(kind: Literal["user", "jti", "cid"], value: str) -> str:
    """A short hash that stands for an identifying value outside of this process."""
    return hashlib.sha256(f"callcluster {kind}\0{value}".encode()).hexdigest()[:24]


def verify(token: str, secret: str) -> Identity:
    """Check a token.

    Raises:
        TokenError: bad signature, algorithm, claim or time.
    """
    try:
        claims = msgspec.convert(
            jwt.decode(
                token,
                secret,
                algorithms=ALGORITHMS,
                audience=AUDIENCE,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "room", "aud"]},
            ),
            _Claims,
        )
    except jwt.ExpiredSignatureError:
        raise TokenError("the token has expired; get a new one", expired=True) from None
    except jwt.MissingRequiredClaimError as error:
        raise TokenError(f"the token lacks the claim {error.claim!r}") from None
    except jwt.InvalidAudienceError:
        raise TokenError(f"the token's aud must be {AUDIENCE!r}") from None
    except jwt.PyJWTError:
        raise TokenError("the token is not valid here: HS256 under the server's secret is wanted") from None
    except msgspec.ValidationError as error:
        raise TokenError(f"the token's claims do not fit: {error}") from None
    if not claims.sub or not ROOM_CLAIM.fullmatch(claims.room):
        raise TokenError("the token's sub or room is empty or has characters that no room id has")
    try:
        user, jti = opaque("user", claims.sub), opaque("jti", claims.jti) if claims.jti else ""
    except UnicodeEncodeError:
        raise TokenError("the token's sub or jti is no text: half of a surrogate pair is missing") from None
    return Identity(user=user, rooms=claims.room, grants=claims.g, exp=int(claims.exp), jti=jti)


def guest(cid: str) -> Identity:
    """The identity of somebody without a token: a user of its own for each page, never a moderator."""
    return Identity(user=opaque("cid", cid), rooms="*", grants=Grants(mod=False))
