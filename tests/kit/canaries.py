"""Finds planted secrets in what a system wrote, in the forms in which they could lie there."""

from __future__ import annotations

import base64
from collections.abc import Mapping


def forms_of(secret: bytes) -> dict[str, bytes]:
    """The same bytes as they are, in hexadecimal, and in both base64 alphabets without padding."""
    return {
        "raw": secret,
        "hex": secret.hex().encode(),
        "base64": base64.b64encode(secret).rstrip(b"="),
        "base64url": base64.urlsafe_b64encode(secret).rstrip(b"="),
    }


def leaks(secrets: Mapping[str, bytes], places: Mapping[str, bytes]) -> list[str]:
    """Every secret found, as `name in place (form)`."""
    return [
        f"{name} in {place} ({form})"
        for name, secret in secrets.items()
        for form, needle in forms_of(secret).items()
        for place, content in places.items()
        if needle in content or (needle.upper() in content.upper() and form == "hex")
    ]
