"""Join tokens of the probe's own members, HS256 JWTs (RFC 7519), where the operator gives the secret."""

from __future__ import annotations

import hashlib
import hmac
import json

from callcluster_probe.e2ee.encode import b64

AUDIENCE = "callcluster"
LIFETIME_S = 600


def mint(secret: str, room: str, subject: str, now: float) -> str:
    """A token of ``subject`` for ``room``, good for ten minutes from ``now`` (Unix seconds)."""
    claims = {"aud": AUDIENCE, "sub": subject, "room": room, "iat": int(now), "exp": int(now) + LIFETIME_S}
    signed = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{signed}.{b64(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"
