"""TURN REST credentials: a user name that expires and its HMAC (draft-uberti-behave-turn-rest-00).

The user name is ``<expiry>:<kid>.<opaque>``, so that all sessions of one key can be found and ended.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from callcluster_common.keyset import Key


def password(secret: str, username: str) -> str:
    """The password that coturn expects for ``username``: base64 of HMAC-SHA-1."""
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def mint(key: Key, subject: str, expires: int) -> tuple[str, str]:
    """Make a user name and password.

    Args:
        key: the key to mint with.
        subject: a stable id of the user; only its hash under the key appears, so a log shows no identity.
        expires: Unix time in seconds after which no new allocation is accepted.
    """
    opaque = hmac.new(key.secret.encode(), b"turn subject\0" + subject.encode(), hashlib.sha256)
    username = f"{expires}:{key.kid}.{opaque.hexdigest()[:16]}"
    return username, password(key.secret, username)
