"""What one peer and the SFU have agreed on so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from callcluster_sfu.negotiation.commands import AddLeg, AddTrack, RemoveLeg
from callcluster_sfu.sdp.values import IceCredentials, Origin


@dataclass(frozen=True, slots=True)
class Agreed:
    """One section; closed ones may be recycled (RFC 8829 section 5.2.2)."""

    kind: str
    mid: str | None = None
    open: bool = False
    published: AddTrack | None = None
    leg: AddLeg | None = None


@dataclass(frozen=True, slots=True)
class Negotiated:
    """All of one peer's connection; the first value has nothing but ``peer`` and ``session``."""

    peer: int
    session: int
    """Session id of the answers' ``o=`` line."""
    version: int = 0
    remote_origin: Origin | None = None
    local_ice: IceCredentials | None = None
    remote_ice: IceCredentials | None = None
    remote_fingerprint: bytes = b""
    sections: tuple[Agreed, ...] = ()
    formats: Mapping[int, str] = field(default_factory=dict)
    """What each payload type in use, now or before, stands for."""
    extensions: Mapping[int, str] = field(default_factory=dict)
    """The same for header extension ids."""

    @property
    def published(self) -> tuple[AddTrack, ...]:
        """What the peer sends now."""
        return tuple(section.published for section in self.sections if section.published is not None)

    @property
    def legs(self) -> tuple[AddLeg, ...]:
        """What the peer receives now."""
        return tuple(section.leg for section in self.sections if section.leg is not None)

    def without_tracks(self, ended: Collection[int]) -> tuple[Negotiated, tuple[RemoveLeg, ...]]:
        """The state once tracks have ended, and the legs that end with them; it takes no offer."""
        gone = tuple(RemoveLeg(leg.leg) for leg in self.legs if leg.track in ended)
        sections = tuple(
            replace(section, leg=None)
            if section.leg is not None and section.leg.track in ended
            else section
            for section in self.sections
        )
        return replace(self, sections=sections), gone
