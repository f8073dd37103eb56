"""Links that let people into a call (docs/e2ee.md, section 2)."""

from __future__ import annotations

import base64
import secrets

SECRET_BYTES = 32


def new_room() -> str:
    """A room id that tells nothing."""
    return secrets.token_hex(5)


def join_link(url: str, room: str) -> str:
    """A link to a room with a new room secret: whoever has it can open what is said there."""
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode()
    return f"{url}/#r={room}&k={secret}"
