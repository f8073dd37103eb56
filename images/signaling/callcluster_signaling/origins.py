"""Which web origins may open a socket."""

from __future__ import annotations


def allowed(origin: str | None, origins: tuple[str, ...]) -> bool:
    """Whether a handshake with this ``Origin`` header may go on.

    Programs that are no browsers send none and are let through: a token speaks for them, and no cookie does
    for anybody.
    """
    if origin is None or "*" in origins:
        return True
    return origin.lower().rstrip("/") in {entry.lower().rstrip("/") for entry in origins}
