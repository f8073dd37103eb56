"""Links that let people into a call (docs/e2ee.md, section 2)."""

from __future__ import annotations

import base64
import secrets

SECRET_BYTES = 32


def join_link(port: int) -> str:
    """A link to a new room on this machine, with a new room secret: whoever has it is in."""
    room = secrets.token_hex(5)
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode()
    return f"http://localhost:{port}/#r={room}&k={secret}"
