"""The answers to the sections of one offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from callcluster_sfu.negotiation.commands import (
    AddLeg,
    AddTrack,
    Encoding,
)
from callcluster_sfu.negotiation.matching import (
    Chosen,
    choices_of,
    encoding_of,
    extensions_of,
    rids_of,
    sent_by_client,
    streams_of,
)
from callcluster_sfu.negotiation.numbers import Numbers
from callcluster_sfu.negotiation.policy import CODECS, MID, RID, Forward, Policy
from callcluster_sfu.negotiation.state import Agreed, Negotiated
from callcluster_sfu.sdp.error import SdpError
from callcluster_sfu.sdp.values import (
    Description,
    Direction,
    Extension,
    Msid,
    Rid,
    Section,
    Simulcast,
    Source,
    SourceGroup,
)

_PROTOCOLS = frozenset({"UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "RTP/SAVPF"})
"""RFC 8829 section 5.1.2: three spellings of the same thing."""
_REFUSED = Section("", 0, "", (), direction=Direction.INACTIVE)


@dataclass(slots=True)
class Answering:
    """One pass over the sections of an offer."""

    before: Negotiated
    offer: Description
    policy: Policy
    forwards: Mapping[str, Forward]
    numbers: Numbers
    formats: dict[int, str]
    extensions: dict[int, str]
    ids: dict[str, int] = field(init=False)
    """``extensions``, the other way round."""
    ssrcs: set[int] = field(default_factory=set)
    """That the client sends on."""
    tracks: int = 0
    unserved: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = {uri: number for number, uri in self.extensions.items()}

    def section(self, index: int, offered: Section) -> tuple[Section, Agreed]:
        """The answer to one section, and what it settles."""
        known = self.before.sections[index] if index < len(self.before.sections) else Agreed(offered.kind)
        refusal = (
            replace(
                _REFUSED,
                kind=offered.kind,
                protocol=offered.protocol,
                formats=offered.formats,
                mid=offered.mid,
            ),
            Agreed(offered.kind, offered.mid),
        )
        if offered.refused or offered.kind not in CODECS or offered.protocol not in _PROTOCOLS:
            return refusal
        assert offered.mid is not None  # check_bundle saw to it
        if not offered.rtcp_mux:
            raise SdpError(f"section {index}", "needs a=rtcp-mux: there is one port")
        chosen = self._choose(offered, known)
        if chosen is None:
            self.unserved.append(offered.mid)
            return refusal
        return self._accept(index, offered, known, chosen)

    def _choose(self, offered: Section, known: Agreed) -> Chosen | None:
        """The codec in use stays while it is offered; else a bound track's, else the client's first."""
        choices = list(choices_of(offered))
        if offered.direction.sends:
            if known.published is not None:
                wanted = known.published.payload_type
                choices.sort(key=lambda choice: choice.codec.payload_type != wanted)
        elif (forward := self.forwards.get(offered.mid or "")) is not None:
            choices.sort(key=lambda choice: choice.name != forward.codec)
        return choices[0] if choices else None

    def _accept(
        self, index: int, offered: Section, known: Agreed, chosen: Chosen
    ) -> tuple[Section, Agreed]:
        assert offered.mid is not None  # check_bundle saw to it
        extensions = extensions_of(offered, mixed=self.offer.allow_mixed or offered.allow_mixed)
        self._settle(index, chosen, extensions)
        rids: tuple[Rid, ...] = ()
        track = None
        if offered.direction.sends and self.tracks < self.policy.max_tracks:
            self.tracks += 1
            track, rids = self._track(index, offered, known, chosen, extensions)
        forward = self.forwards.get(offered.mid) if offered.direction.receives else None
        if forward is not None and forward.kind != offered.kind:
            raise SdpError(f"section {index}", "is bound to a track of another kind")
        leg = None
        if forward is not None and forward.codec == chosen.name:
            leg = self._leg(offered.mid, known, forward, chosen)
        if (offered.direction.sends and track is None) or (forward is not None and leg is None):
            self.unserved.append(offered.mid)
        is_video = track is not None and track.kind == "video"
        max_bitrate = self.policy.max_video_bitrate if is_video else None
        answer = Section(
            offered.kind,
            self.policy.addresses[0].port,
            offered.protocol,
            tuple(str(codec.payload_type) for codec in chosen.codecs),
            mid=offered.mid,
            direction=Direction.of(sends=leg is not None, receives=track is not None),
            rtcp_mux=True,
            rtcp_rsize=offered.rtcp_rsize,
            codecs=chosen.codecs,
            extensions=extensions,
            allow_mixed=offered.allow_mixed,
            rids=rids,
            simulcast=Simulcast(recv=streams_of(rids)) if rids else None,
            max_bitrate=max_bitrate,
        )
        if leg is not None and forward is not None:
            answer = _with_sources(answer, leg, forward)
        return answer, Agreed(offered.kind, offered.mid, open=True, published=track, leg=leg)

    def _settle(self, index: int, chosen: Chosen, extensions: tuple[Extension, ...]) -> None:
        """RFC 9143: within a BUNDLE group a number means one thing, for ever.

        Raises:
            SdpError: it would mean two.
        """
        for codec in chosen.codecs:
            meaning = f"{codec.name.lower()}/{codec.clock}/{codec.parameter('apt')}"
            if self.formats.setdefault(codec.payload_type, meaning) != meaning:
                raise SdpError(f"section {index}", "gives another meaning to a payload type in use")
        for extension in extensions:
            if self.extensions.setdefault(extension.id, extension.uri) != extension.uri:
                raise SdpError(f"section {index}", "gives another meaning to a header extension id in use")
            if self.ids.setdefault(extension.uri, extension.id) != extension.id:
                raise SdpError(f"section {index}", "gives a header extension another id than it has")

    def _track(
        self, index: int, offered: Section, known: Agreed, chosen: Chosen, extensions: tuple[Extension, ...]
    ) -> tuple[AddTrack, tuple[Rid, ...]]:
        assert offered.mid is not None  # check_bundle saw to it
        sent = sent_by_client(extensions)
        rids = rids_of(offered, chosen.codec.payload_type) if {MID, RID} <= sent else ()
        encodings = tuple(Encoding(rid.name) for rid in rids) or (encoding_of(offered),)
        if MID not in sent and encodings[0].ssrc is None:
            raise SdpError(
                f"section {index}", "needs the mid header extension or a=ssrc to tell its packets"
            )
        for encoding in encodings:
            for ssrc in (encoding.ssrc, encoding.rtx_ssrc):
                if ssrc in self.ssrcs:
                    raise SdpError(f"section {index}", "uses an SSRC that is in use")
                if ssrc is not None:
                    self.ssrcs.add(ssrc)
        track = AddTrack(
            0 if known.published is None else known.published.track,
            self.before.peer,
            offered.kind,
            offered.mid,
            chosen.name,
            chosen.codec.payload_type,
            chosen.rtx_payload_type,
            encodings,
        )
        if track != known.published:
            track = replace(track, track=self.numbers.track())
        return track, rids

    def _leg(self, mid: str, known: Agreed, forward: Forward, chosen: Chosen) -> AddLeg:
        payload_type, rtx_payload_type = chosen.codec.payload_type, chosen.rtx_payload_type
        leg = known.leg
        if (
            leg is not None
            and (leg.mid, leg.track, leg.payload_type) == (mid, forward.track, payload_type)
            and (None if leg.rtx is None else leg.rtx[1]) == rtx_payload_type
        ):
            return leg
        return AddLeg(
            self.numbers.leg(),
            self.before.peer,
            forward.track,
            mid,
            payload_type,
            self.numbers.ssrc(),
            None if rtx_payload_type is None else (self.numbers.ssrc(), rtx_payload_type),
        )


def _with_sources(answer: Section, leg: AddLeg, forward: Forward) -> Section:
    """Announces the leg's SSRCs; the CNAME is the publisher's stream, which ties its audio to its video."""
    ssrcs = (leg.ssrc,) if leg.rtx is None else (leg.ssrc, leg.rtx[0])
    return replace(
        answer,
        msids=(Msid(forward.stream, forward.name),),
        sources=tuple(Source(ssrc, forward.stream) for ssrc in ssrcs),
        source_groups=(SourceGroup("FID", ssrcs),) if len(ssrcs) == 2 else (),
    )
