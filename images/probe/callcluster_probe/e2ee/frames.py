"""Encoded frames of one track: which bytes stay clear, what is bound to them (docs/e2ee.md, section 5)."""

from __future__ import annotations

from typing import Literal

from callcluster_probe.e2ee.encode import CryptoError, labelled

Source = Literal["mic", "cam", "screen"]
SOURCES: tuple[Source, ...] = ("mic", "cam", "screen")
"""In the order of the media sections of every description."""

VP8_KEY_FRAME = 10
VP8_DELTA_FRAME = 3


def is_key_frame(frame: bytes) -> bool:
    """Whether a VP8 frame is a key frame: the lowest bit of its tag is clear (RFC 6386, 9.1)."""
    return bool(frame) and not frame[0] & 1


def clear_bytes(source: Source, frame: bytes) -> int:
    """How many leading bytes of a frame stay readable; video is VP8 here, the one codec that the probe has.

    Raises:
        CryptoError: the frame has nothing but its clear part, if that.
    """
    clear = 0 if source == "mic" else VP8_KEY_FRAME if is_key_frame(frame) else VP8_DELTA_FRAME
    if len(frame) <= clear:
        raise CryptoError("a frame ends with its clear part")
    return clear


def metadata(sid: str, source: Source, clear: bytes) -> bytes:
    """Associated data of a frame: its sender, its track, its clear bytes."""
    return labelled("frame", sid, source) + clear
