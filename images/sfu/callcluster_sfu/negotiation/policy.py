"""What this SFU agrees to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from callcluster_sfu.sdp.values import Feedback, Fingerprint

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
TRANSPORT_SEQUENCE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
DEPENDENCY = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

CODECS: Mapping[str, Mapping[str, tuple[int, int]]] = MappingProxyType(
    {"audio": {"opus": (48_000, 2)}, "video": {"vp8": (90_000, 1), "vp9": (90_000, 1)}}
)
"""Accepted encodings by kind, with clock rate and channels; among them the client's order counts.

AV1 and H.264 are no part of it: their packetizers don't let frames through that are encrypted end to end.
"""

EXTENSIONS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "audio": {MID: "mid", TRANSPORT_SEQUENCE: "transport_sequence", AUDIO_LEVEL: "audio_level"},
        "video": {
            MID: "mid",
            RID: "rid",
            REPAIRED_RID: "repaired_rid",
            TRANSPORT_SEQUENCE: "transport_sequence",
            DEPENDENCY: "dependency",
        },
    }
)
"""Accepted header extensions by kind of media: URI to field of ``ExtensionIds``."""

FEEDBACK: Mapping[str, frozenset[Feedback]] = MappingProxyType(
    {"audio": frozenset({Feedback.TRANSPORT_CC}), "video": frozenset(Feedback)}
)

RID_RESTRICTIONS = frozenset(
    {"max-width", "max-height", "max-fps", "max-fs", "max-br", "max-pps", "max-bpp", "depend"}
)
"""RFC 8851; a rid with one that is not known must be refused."""

MAX_RIDS = 3


@dataclass(frozen=True, slots=True)
class HostAddress:
    """Where the plane's one UDP port is reached."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Policy:
    """How this SFU answers."""

    addresses: tuple[HostAddress, ...]
    """Candidates, the one to prefer first; at least one."""
    fingerprint: Fingerprint
    """Of the SFU's own certificate."""
    max_tracks: int = 6
    """Sections on which one peer may publish at a time; those above it are answered as inactive."""
    max_video_bitrate: int | None = None
    """Bits per second that one video section may send; None for no limit."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A published track as its subscribers are to see it."""

    track: int
    kind: str
    codec: str
    stream: str
    """Opaque name that all tracks of one publisher share, so that players keep them in step."""
    name: str
    """Opaque name of the track."""
