"""What the plane is told, in the terms of its boundary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExtensionIds:
    """The ids of the header extensions in use on one section; 0 is "not negotiated"."""

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

    def __repr__(self) -> str:
        return f"AddPeer(peer={self.peer})"


@dataclass(frozen=True, slots=True)
class SetIce:
    """An ICE restart: new credentials of the SFU's for ``peer``."""

    peer: int
    ufrag: str
    pwd: str

    def __repr__(self) -> str:
        return f"SetIce(peer={self.peer})"


@dataclass(frozen=True, slots=True)
class AddTrack:
    """``peer`` publishes on section ``mid``.

    ``sources`` are (SSRC, SSRC of its retransmissions) as far as the offer names them; with ``rids`` they
    are learned from the packets.
    """

    track: int
    peer: int
    kind: str
    mid: str
    codec: str
    """Encoding name in lower case: opus, vp8 or vp9."""
    clock: int
    pt: int
    rtx_pt: int | None
    rids: tuple[str, ...]
    sources: tuple[tuple[int, int | None], ...]
    extensions: ExtensionIds


@dataclass(frozen=True, slots=True)
class RemoveTrack:
    """The track has ended."""

    track: int


@dataclass(frozen=True, slots=True)
class AddLeg:
    """``track`` goes to ``peer`` on section ``mid``, under SSRCs that no other leg has or had."""

    leg: int
    peer: int
    track: int
    mid: str
    ssrc: int
    rtx_ssrc: int | None
    pt: int
    rtx_pt: int | None
    extensions: ExtensionIds


@dataclass(frozen=True, slots=True)
class RemoveLeg:
    """The leg has ended."""

    leg: int


@dataclass(frozen=True, slots=True)
class RemovePeer:
    """The transport has ended; its tracks and legs have before."""

    peer: int


@dataclass(frozen=True, slots=True)
class SetLeg:
    """How a leg is served: at most which layer (spatial, temporal), whether at all, and how soon.

    A leg that was never set has all layers, is not paused and has priority 0; higher ones are served first.
    """

    leg: int
    layer: tuple[int, int] | None = None
    paused: bool = False
    priority: int = 0


Command = AddPeer | SetIce | RemovePeer | AddTrack | RemoveTrack | AddLeg | SetLeg | RemoveLeg
