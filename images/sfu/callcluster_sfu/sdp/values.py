"""What a description says, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Direction(Enum):
    """RFC 8866 section 6.7, from the view of whoever wrote the description."""

    INACTIVE = "inactive"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    SENDRECV = "sendrecv"

    @property
    def sends(self) -> bool:
        """Whether the writer wishes to send."""
        return self in (Direction.SENDONLY, Direction.SENDRECV)

    @property
    def receives(self) -> bool:
        """Whether the writer wishes to receive."""
        return self in (Direction.RECVONLY, Direction.SENDRECV)

    @classmethod
    def of(cls, *, sends: bool, receives: bool) -> Direction:
        """The direction that says both."""
        if sends:
            return cls.SENDRECV if receives else cls.SENDONLY
        return cls.RECVONLY if receives else cls.INACTIVE


class Setup(Enum):
    """DTLS roles, RFC 8842."""

    ACTIVE = "active"
    PASSIVE = "passive"
    ACTPASS = "actpass"
    HOLDCONN = "holdconn"


class Feedback(Enum):
    """The RTCP feedback that an SFU may speak (RFC 4585, RFC 5104, transport-wide feedback)."""

    NACK = "nack"
    NACK_PLI = "nack pli"
    CCM_FIR = "ccm fir"
    TRANSPORT_CC = "transport-cc"


@dataclass(frozen=True, slots=True)
class Origin:
    """The ``o=`` line: which session, and how often it was described (RFC 8866 section 5.2)."""

    session: int
    version: int


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """RFC 8839 section 5.4."""

    ufrag: str
    pwd: str

    def __repr__(self) -> str:
        return "IceCredentials(...)"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Hash of a DTLS certificate (RFC 8122); ``algorithm`` in lower case."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """An ICE candidate (RFC 8839 section 5.1) without its related address and extensions."""

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    kind: str


@dataclass(frozen=True, slots=True)
class Transport:
    """What one level of a description says about ICE and DTLS."""

    ice: IceCredentials | None = None
    fingerprints: tuple[Fingerprint, ...] = ()
    setup: Setup | None = None


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type: ``rtpmap`` with its ``fmtp`` and ``rtcp-fb`` lines.

    ``parameters`` keep their order; names are in lower case, a value is None where the peer wrote none.
    """

    payload_type: int
    name: str
    clock: int
    channels: int = 1
    parameters: tuple[tuple[str, str | None], ...] = ()
    feedback: frozenset[Feedback] = frozenset()

    def parameter(self, name: str) -> str | None:
        """The value of parameter ``name``; None where it is absent or empty."""
        return next((value for known, value in self.parameters if known == name), None)


@dataclass(frozen=True, slots=True)
class Extension:
    """An RTP header extension (RFC 8285): id 1 to 4351, and the direction it is limited to, if any."""

    id: int
    uri: str
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class Rid:
    """One encoding of a section (RFC 8851); ``payload_types`` empty means all of the section's."""

    name: str
    sends: bool
    payload_types: tuple[int, ...] = ()
    restrictions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SimulcastStream:
    """One stream of a simulcast list: the rids that can carry it, best first (RFC 8853 section 5.1)."""

    rids: tuple[str, ...]
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Simulcast:
    """RFC 8853: what the writer offers to send and to receive."""

    send: tuple[SimulcastStream, ...] = ()
    recv: tuple[SimulcastStream, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """An SSRC and its CNAME (RFC 5576)."""

    ssrc: int
    cname: str | None = None


@dataclass(frozen=True, slots=True)
class SourceGroup:
    """SSRCs that belong together; ``FID`` pairs a stream with its retransmissions (RFC 5576)."""

    semantics: str
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Msid:
    """RFC 8830: the stream ("-" for none) and track that a section carries."""

    stream: str
    track: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One ``m=`` section; ``formats`` are as written, ``codecs`` those of them with an ``rtpmap``."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    mid: str | None = None
    direction: Direction = Direction.SENDRECV
    bundle_only: bool = False
    rtcp_mux: bool = False
    rtcp_rsize: bool = False
    transport: Transport = Transport()
    candidates: tuple[Candidate, ...] = ()
    end_of_candidates: bool = False
    codecs: tuple[Codec, ...] = ()
    extensions: tuple[Extension, ...] = ()
    allow_mixed: bool = False
    rids: tuple[Rid, ...] = ()
    simulcast: Simulcast | None = None
    msids: tuple[Msid, ...] = ()
    sources: tuple[Source, ...] = ()
    source_groups: tuple[SourceGroup, ...] = ()
    max_bitrate: int | None = None
    """Bits per second, without overhead below RTP (``b=TIAS``, RFC 3890)."""

    @property
    def refused(self) -> bool:
        """Whether the section carries nothing: port 0 without ``bundle-only`` (RFC 8829 section 5.2.2)."""
        return self.port == 0 and not self.bundle_only


@dataclass(frozen=True, slots=True)
class Description:
    """A whole offer or answer."""

    origin: Origin
    sections: tuple[Section, ...]
    bundles: tuple[tuple[str, ...], ...] = ()
    """The mids of each BUNDLE group, in the order written."""
    ice_lite: bool = False
    allow_mixed: bool = False
    transport: Transport = Transport()
    """What sections without their own say."""
