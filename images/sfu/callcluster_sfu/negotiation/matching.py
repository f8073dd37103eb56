"""What of one offered section this SFU agrees to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from callcluster_sfu.negotiation.commands import Encoding, ExtensionIds
from callcluster_sfu.negotiation.policy import (
    CODECS,
    DEPENDENCY,
    EXTENSIONS,
    FEEDBACK,
    MAX_RIDS,
    RID_RESTRICTIONS,
)
from callcluster_sfu.sdp.values import (
    Codec,
    Direction,
    Extension,
    Feedback,
    Rid,
    Section,
    SimulcastStream,
)

_RTCP_CLASH = range(64, 96)
"""Payload types that can't be told from RTCP on one port (RFC 5761 section 4)."""
_MIRRORED = frozenset({"minptime", "useinbandfec", "stereo", "profile-id"})
_FLIPPED = {
    Direction.SENDONLY: Direction.RECVONLY,
    Direction.RECVONLY: Direction.SENDONLY,
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The one codec of a section as the answer says it, and its retransmissions."""

    codec: Codec
    rtx: Codec | None

    @property
    def name(self) -> str:
        """The encoding's, in lower case."""
        return self.codec.name.lower()

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """Both."""
        return (self.codec,) if self.rtx is None else (self.codec, self.rtx)

    @property
    def rtx_payload_type(self) -> int | None:
        """The payload type of retransmissions."""
        return None if self.rtx is None else self.rtx.payload_type


def choices_of(section: Section) -> Iterator[Chosen]:
    """What the section offers of the accepted encodings, in the client's order."""
    accepted = CODECS[section.kind]
    repairs = _repairs_of(section)
    for codec in section.codecs:
        name = codec.name.lower()
        if (
            accepted.get(name) == (codec.clock, codec.channels)
            and codec.payload_type not in _RTCP_CLASH
            and (name != "vp9" or codec.parameter("profile-id") in (None, "0"))
        ):
            rtx = repairs.get((str(codec.payload_type), codec.clock))
            feedback = codec.feedback & FEEDBACK[section.kind]
            if rtx is None:
                # A packet is never sent again under its own SSRC, so without RTX a NACK has no answer.
                feedback -= {Feedback.NACK}
            parameters = tuple(pair for pair in codec.parameters if pair[0] in _MIRRORED)
            yield Chosen(replace(codec, feedback=feedback, parameters=parameters), rtx)


def _repairs_of(section: Section) -> dict[tuple[str, int], Codec]:
    """RFC 4588 section 8.6: the ``rtx`` formats by the payload type and clock that they repair."""
    repairs: dict[tuple[str, int], Codec] = {}
    for codec in section.codecs:
        apt = codec.parameter("apt")
        if codec.name.lower() == "rtx" and apt is not None and codec.payload_type not in _RTCP_CLASH:
            repairs.setdefault(
                (apt, codec.clock), replace(codec, parameters=(("apt", apt),), feedback=frozenset())
            )
    return repairs


def extensions_of(section: Section, *, mixed: bool) -> tuple[Extension, ...]:
    """The header extensions to accept, turned round for the answer.

    ``mixed``: whether the client takes one- and two-byte elements in one stream (RFC 8285 section 6).
    """
    known = EXTENSIONS[section.kind]
    accepted: dict[str, Extension] = {}
    for extension in section.extensions:
        if extension.uri not in known or extension.uri in accepted:
            continue
        # A descriptor with its structure is longer than the 16 bytes of a one-byte element.
        needs_mixed = extension.id > 14 or extension.uri == DEPENDENCY
        if extension.id <= 255 and extension.id != 15 and (mixed or not needs_mixed):
            direction = extension.direction
            flipped = None if direction is None else _FLIPPED.get(direction, direction)
            accepted[extension.uri] = replace(extension, direction=flipped)
    return tuple(accepted.values())


def sent_by_client(extensions: Collection[Extension]) -> frozenset[str]:
    """The URIs, of an answer's extensions, that the client's packets may carry."""
    return frozenset(
        extension.uri
        for extension in extensions
        if extension.direction is None or extension.direction.receives
    )


def ids_of(meanings: Mapping[int, str]) -> ExtensionIds:
    """What the plane is told of all ids in use on a connection."""
    fields = {uri: field for known in EXTENSIONS.values() for uri, field in known.items()}
    return ExtensionIds(**{fields[uri]: number for number, uri in meanings.items()})


def rids_of(section: Section, payload_type: int) -> tuple[Rid, ...]:
    """The simulcast encodings to accept, in the client's order and turned round for the answer."""
    if section.simulcast is None:
        return ()
    offered = {rid.name: rid for rid in section.rids if rid.sends and _acceptable(rid, payload_type)}
    chosen: dict[str, Rid] = {}
    for stream in section.simulcast.send[:MAX_RIDS]:
        name = next((name for name in stream.rids if name in offered and name not in chosen), None)
        if name is not None:
            rid = offered[name]
            chosen[name] = replace(
                rid, sends=False, payload_types=(payload_type,) if rid.payload_types else ()
            )
    return tuple(chosen.values())


def _acceptable(rid: Rid, payload_type: int) -> bool:
    return (not rid.payload_types or payload_type in rid.payload_types) and all(
        name in RID_RESTRICTIONS for name, _ in rid.restrictions
    )


def streams_of(rids: Collection[Rid]) -> tuple[SimulcastStream, ...]:
    """The answer's list for ``rids``."""
    return tuple(SimulcastStream((rid.name,)) for rid in rids)


def encoding_of(section: Section) -> Encoding:
    """The stream of a section without simulcast, as far as it is announced by SSRC."""
    repairs = {
        group.ssrcs[0]: group.ssrcs[1]
        for group in section.source_groups
        if group.semantics == "FID" and len(group.ssrcs) == 2
    }
    repairing = frozenset(repairs.values())
    for source in section.sources:
        if source.ssrc not in repairing:
            return Encoding(None, source.ssrc, repairs.get(source.ssrc))
    return Encoding()
