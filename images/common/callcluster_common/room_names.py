"""Names that stand for rooms where their id must not appear: objects, logs, reports, metrics."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

_KEY = re.compile(r"r-[a-z2-7]{20}")


def room_key(salt: bytes, room_id: str) -> str:
    """Opaque name of a room: ``r-`` and 20 base32 characters of an HMAC-SHA-256 under ``salt``.

    It is a DNS-1123 label, so that it can name a Kubernetes object. The salt is the installation's own.
    """
    digest = hmac.new(salt, b"room\0" + room_id.encode(), hashlib.sha256).digest()
    return "r-" + base64.b32encode(digest)[:20].decode().lower()


def is_room_key(text: str) -> bool:
    """Whether :func:`room_key` could have made it."""
    return _KEY.fullmatch(text) is not None
