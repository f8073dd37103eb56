"""What has been read of a description so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from callcluster_sfu.sdp.limits import Limits
from callcluster_sfu.sdp.line import Line
from callcluster_sfu.sdp.values import (
    Candidate,
    Codec,
    Direction,
    Extension,
    Feedback,
    Fingerprint,
    IceCredentials,
    Msid,
    Rid,
    Section,
    Setup,
    Simulcast,
    Source,
    SourceGroup,
    Transport,
)


@dataclass(slots=True)
class TransportDraft:
    """The ICE and DTLS attributes of one level."""

    ufrag: str | None = None
    pwd: str | None = None
    fingerprints: list[Fingerprint] = field(default_factory=list)
    setup: Setup | None = None

    def close(self, start: Line) -> Transport:
        """The finished value, for the level that begins at ``start``.

        Raises:
            SdpError: one half of the ICE credentials is missing.
        """
        ice = None
        if self.ufrag is not None and self.pwd is not None:
            ice = IceCredentials(self.ufrag, self.pwd)
        elif self.ufrag is not None or self.pwd is not None:
            raise start.error("needs both a=ice-ufrag and a=ice-pwd, or neither")
        return Transport(ice, tuple(self.fingerprints), self.setup)


@dataclass(slots=True)
class SessionDraft:
    """What stands before the first section."""

    limits: Limits
    start: Line
    transport: TransportDraft = field(default_factory=TransportDraft)
    bundles: list[tuple[str, ...]] = field(default_factory=list)
    ice_lite: bool = False
    allow_mixed: bool = False
    direction: Direction = Direction.SENDRECV
    """What sections without their own have (RFC 8866 section 6.7)."""
    seen: set[str] = field(default_factory=set)


@dataclass(slots=True)
class SectionDraft:
    """One ``m=`` section; :meth:`close` puts its scattered codec lines together."""

    limits: Limits
    start: Line
    head: Section
    direction: Direction
    payload_types: frozenset[int]
    """Empty unless the section is one of RTP."""
    transport: TransportDraft = field(default_factory=TransportDraft)
    mid: str | None = None
    flags: set[str] = field(default_factory=set)
    candidates: list[Candidate] = field(default_factory=list)
    codecs: dict[int, Codec] = field(default_factory=dict)
    parameters: dict[int, tuple[tuple[str, str | None], ...]] = field(default_factory=dict)
    feedback: dict[int, set[Feedback]] = field(default_factory=dict)
    feedback_of_all: set[Feedback] = field(default_factory=set)
    extensions: dict[int, Extension] = field(default_factory=dict)
    rids: dict[str, Rid] = field(default_factory=dict)
    simulcast: Simulcast | None = None
    msids: list[Msid] = field(default_factory=list)
    sources: dict[int, Source] = field(default_factory=dict)
    source_groups: list[SourceGroup] = field(default_factory=list)
    max_bitrate: int | None = None
    seen: set[str] = field(default_factory=set)

    def close(self) -> Section:
        """The finished value.

        Raises:
            SdpError: its lines contradict one another.
        """
        return replace(
            self.head,
            mid=self.mid,
            direction=self.direction,
            bundle_only="bundle-only" in self.flags,
            rtcp_mux="rtcp-mux" in self.flags,
            rtcp_rsize="rtcp-rsize" in self.flags,
            transport=self.transport.close(self.start),
            candidates=tuple(self.candidates),
            end_of_candidates="end-of-candidates" in self.flags,
            codecs=self._finished_codecs(),
            extensions=tuple(self.extensions.values()),
            allow_mixed="extmap-allow-mixed" in self.flags,
            rids=tuple(self.rids.values()),
            simulcast=self.simulcast,
            msids=tuple(self.msids),
            sources=tuple(self.sources.values()),
            source_groups=tuple(self.source_groups),
            max_bitrate=self.max_bitrate,
        )

    def _finished_codecs(self) -> tuple[Codec, ...]:
        """In order of preference, which is that of the ``m=`` line."""
        order = [int(number) for number in self.head.formats] if self.payload_types else []
        return tuple(
            replace(
                self.codecs[number],
                parameters=self.parameters.get(number, ()),
                feedback=frozenset(self.feedback_of_all | self.feedback.get(number, set())),
            )
            for number in order
            if number in self.codecs
        )
