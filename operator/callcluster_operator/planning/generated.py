"""Secrets that the operator makes itself. All randomness is the snapshot's entropy."""

from __future__ import annotations

import base64
import hashlib
import hmac

from callcluster_operator.objects import SECRET
from callcluster_operator.planning.installation import Installation


def secret_text(entropy: bytes, purpose: str) -> str:
    """43 characters of base64url that hold 256 random bits; another purpose gives unrelated ones."""
    digest = hmac.new(entropy, purpose.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def key_id(entropy: bytes, purpose: str) -> str:
    """An id that tells keys apart and nothing else."""
    return "k" + hmac.new(entropy, b"id\0" + purpose.encode(), hashlib.sha256).hexdigest()[:9]


def kept_or_made(installation: Installation, secret: str, key: str) -> str:
    """The value in one of our Secrets, or a new one where it is missing or empty."""
    return value_of(installation, secret, key) or secret_text(
        installation.observed.entropy, f"{secret}/{key}"
    )


def value_of(installation: Installation, secret: str, key: str) -> str:
    """The value in one of our Secrets; empty where it is missing or no text."""
    found = installation.child(SECRET, secret)
    if found is None:
        return ""
    try:
        return base64.b64decode((found.get("data") or {}).get(key, ""), validate=True).decode()
    except ValueError:
        return ""
