"""The code that members compare aloud (docs/e2ee.md, section 7)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from callcluster_probe.e2ee.encode import labelled, lp


def security_code(room: str, identities: Iterable[bytes]) -> str:
    """Thirty digits in six groups over the distinct identity keys of all members."""
    digest = hashlib.sha512(
        labelled("code", room) + b"".join(lp(ik) for ik in sorted(set(identities)))
    ).digest()
    groups = (int.from_bytes(digest[i : i + 5], "big") % 100_000 for i in range(0, 30, 5))
    return " ".join(f"{group:05d}" for group in groups)
