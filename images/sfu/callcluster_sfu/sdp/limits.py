"""How much of a description is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one description; above any of them it is refused.

    An offer with 80 sections fits where the page asks its browser for the codecs that the SFU speaks alone.
    """

    characters: int = 131_072
    lines: int = 8_192
    line_characters: int = 2_048
    sections: int = 128
    formats: int = 64
    """Payload types of one section."""
    extensions: int = 32
    """Header extensions of one section."""
    sources: int = 32
    """SSRCs, and SSRC groups, of one section."""
    rids: int = 8
    """Simulcast encodings of one section."""
    candidates: int = 64
    """ICE candidates of one section."""
