"""What the plane is told, in the terms of its boundary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExtensionIds:
    """The header extension ids of one connection; 0 is "not negotiated"."""

    mid: int = 0
    rid: int = 0
    repaired_rid: int = 0
    transport_sequence: int = 0
    audio_level: int = 0
    dependency: int = 0


@dataclass(frozen=True, slots=True)
class AddPeer:
    """A transport for ``peer``; ``ufrag`` and ``pwd`` are the SFU's own, the fingerprint is SHA-256."""

    peer: int
    ufrag: str
    pwd: str
    remote_fingerprint: bytes
    extensions: ExtensionIds

    def __repr__(self) -> str:
        return f"AddPeer(peer={self.peer})"


@dataclass(frozen=True, slots=True)
class RestartIce:
    """New credentials of the SFU's for ``peer``."""

    peer: int
    ufrag: str
    pwd: str

    def __repr__(self) -> str:
        return f"RestartIce(peer={self.peer})"


@dataclass(frozen=True, slots=True)
class SetExtensions:
    """All ids of ``peer``, those before among them: they only ever get more."""

    peer: int
    extensions: ExtensionIds


@dataclass(frozen=True, slots=True)
class RemovePeer:
    """The transport has ended; its tracks and legs have before."""

    peer: int


@dataclass(frozen=True, slots=True)
class Encoding:
    """One of a track's streams; SSRCs that the offer does not name are learned from its packets."""

    rid: str | None = None
    ssrc: int | None = None
    rtx_ssrc: int | None = None


@dataclass(frozen=True, slots=True)
class AddTrack:
    """``peer`` publishes on section ``mid``."""

    track: int
    peer: int
    kind: str
    mid: str
    codec: str
    """Encoding name in lower case: opus, vp8 or vp9."""
    payload_type: int
    rtx_payload_type: int | None
    encodings: tuple[Encoding, ...]
    """At least one; in the offer's order, which clients keep from the lowest quality to the highest."""


@dataclass(frozen=True, slots=True)
class RemoveTrack:
    """The track has ended; its legs have before."""

    track: int


@dataclass(frozen=True, slots=True)
class AddLeg:
    """``track`` may go to ``peer`` on section ``mid``; it is paused until it is aimed.

    No other leg has or had its SSRCs.
    """

    leg: int
    peer: int
    track: int
    mid: str
    payload_type: int
    ssrc: int
    rtx: tuple[int, int] | None
    """SSRC and payload type of retransmissions."""


@dataclass(frozen=True, slots=True)
class AimLeg:
    """What is wanted on the leg; which encoding it gets is the plane's choice, by what the link carries."""

    leg: int
    highest: int | None
    """The place of the best encoding that is of use; None pauses the leg."""
    priority: int = 0
    """Of 0 to 255. Where the link is short, higher goes first; audio goes before all video."""


@dataclass(frozen=True, slots=True)
class RemoveLeg:
    """The leg has ended."""

    leg: int


Command = (
    AddPeer | RestartIce | SetExtensions | RemovePeer | AddTrack | RemoveTrack | AddLeg | AimLeg | RemoveLeg
)
