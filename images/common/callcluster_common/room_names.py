"""Names that stand for rooms where their id must not appear: objects, logs, reports, metrics."""

from __future__ import annotations

import base64
import hashlib
import hmac


def room_key(salt: bytes, room_id: str) -> str:
    """Opaque name of a room: ``r-`` and 20 base32 characters of an HMAC-SHA-256 under ``salt``.

    It is a DNS-1123 label, so that it can name a Kubernetes object. The salt is the installation's own.
    """
    digest = hmac.new(salt, b"room\0" + room_id.encode(), hashlib.sha256).digest()
    return "r-" + base64.b32encode(digest)[:20].decode().lower()
