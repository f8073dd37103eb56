"""Session descriptions of the load generator's clients: offers of their own, and answers to an SFU's."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace

from callcluster_sfu.sdp import parse, serialize
from callcluster_sfu.sdp.limits import Limits
from callcluster_sfu.sdp.values import (
    Description,
    Direction,
    Extension,
    Fingerprint,
    IceCredentials,
    Msid,
    Origin,
    Section,
    Setup,
    Source,
    SourceGroup,
    Transport,
)

from kit.sfu_load import Connection, Credentials, Stream
from kit.sfu_offers import audio, video

KNOWN = frozenset(
    {
        "urn:ietf:params:rtp-hdrext:sdes:mid",
        "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    }
)
"""Header extensions that the generator's clients write and read."""
CODECS = {"audio": ("opus",), "video": ("vp8", "rtx")}
LARGE = Limits(characters=1 << 21, lines=1 << 15, sections=512, candidates=256, sources=64, formats=128)


@dataclass(frozen=True)
class Side:
    """A client's end of one transport."""

    session: int
    ice: IceCredentials
    fingerprint: Fingerprint

    @classmethod
    def new(cls, fingerprint: str) -> Side:
        """With fresh ICE credentials; ``fingerprint`` in hex with colons."""
        ice = IceCredentials(secrets.token_hex(4), secrets.token_hex(16))
        digest = Fingerprint("sha-256", bytes.fromhex(fingerprint.replace(":", "")))
        return cls(secrets.randbits(60), ice, digest)

    @property
    def transport(self) -> Transport:
        """Always the DTLS client."""
        return Transport(self.ice, (self.fingerprint,), Setup.ACTIVE)


def stream(mid: str, kind: str) -> Stream:
    """A stream to publish, with SSRCs that are free with near certainty."""
    ssrc = secrets.randbits(31) | 1
    return Stream(mid, kind, ssrc, ssrc + 1 if kind == "video" else None)


def offer(
    side: Side, version: int, published: Collection[Stream], received: Collection[tuple[str, str]]
) -> str:
    """An offer; ``received`` are mid and kind of the sections to get something on."""
    sections = [_section(one.mid, one.kind, Direction.SENDONLY, one.ssrc) for one in published]
    sections += [_section(mid, kind, Direction.RECVONLY) for mid, kind in received]
    return serialize(_description(side, version, sections))


def _section(mid: str, kind: str, direction: Direction, ssrc: int = 0) -> Section:
    if kind == "audio":
        made = audio(mid, direction, ssrc=ssrc)
    else:
        made = video(mid, direction, ssrc=ssrc, codecs=("VP8",))
    extensions = tuple(one for one in made.extensions if one.uri in KNOWN)
    return replace(made, extensions=extensions, msids=(Msid("-", mid),) if ssrc else ())


def _description(side: Side, version: int, sections: Collection[Section]) -> Description:
    bundle = tuple(one.mid for one in sections if one.mid is not None and not one.refused)
    # Not at the session level: Pion looks for a=setup in the sections alone.
    placed = tuple(one if one.refused else replace(one, transport=side.transport) for one in sections)
    return Description(Origin(side.session, version), placed, (bundle,))


def answer(side: Side, version: int, offered: str) -> str:
    """Accepts all that an offer has to send, in Opus and VP8, and data channels; refuses the rest."""
    sections = [_accepted(section) for section in parse(offered, LARGE).sections]
    return serialize(_description(side, version, sections))


def _accepted(offered: Section) -> Section:
    if offered.kind == "application":
        return Section(offered.kind, 9, offered.protocol, offered.formats, mid=offered.mid)
    wanted = CODECS.get(offered.kind, ())
    chosen = [codec for codec in offered.codecs if codec.name.lower() == wanted[:1][0]] if wanted else []
    if not chosen or offered.refused:
        return Section(
            offered.kind,
            0,
            offered.protocol,
            offered.formats,
            mid=offered.mid,
            direction=Direction.INACTIVE,
        )
    main = chosen[0]
    repairs = [codec for codec in offered.codecs if codec.parameter("apt") == str(main.payload_type)]
    codecs = (main, *repairs[:1])
    return Section(
        offered.kind,
        9,
        offered.protocol,
        tuple(str(codec.payload_type) for codec in codecs),
        mid=offered.mid,
        direction=Direction.of(sends=False, receives=offered.direction.sends),
        rtcp_mux=True,
        rtcp_rsize=offered.rtcp_rsize,
        codecs=codecs,
        extensions=tuple(Extension(one.id, one.uri) for one in offered.extensions if one.uri in KNOWN),
    )


def connection(
    peer: int,
    side: Side,
    text: str,
    *,
    controlling: bool = True,
    address: str | None = None,
    publishes: Collection[Stream] = (),
    receives: Collection[Stream] = (),
    data: bool = False,
    counts_only: bool = False,
    feedback: bool = True,
) -> Connection:
    """A client's transport to the SFU whose offer or answer ``text`` is.

    Without ``address`` it is that of the first UDP candidate.
    """
    description = parse(text, LARGE)
    section = next(one for one in description.sections if not one.refused)
    ice = section.transport.ice or description.transport.ice
    hashes = section.transport.fingerprints or description.transport.fingerprints
    if address is None:
        candidates = [one for section in description.sections for one in section.candidates]
        candidate = next(one for one in candidates if one.transport.lower() == "udp")
        address = f"{candidate.address}:{candidate.port}"
    assert ice
    return Connection(
        peer,
        Credentials(side.ice.ufrag, side.ice.pwd),
        Credentials(ice.ufrag, ice.pwd),
        next(one.digest for one in hashes if one.algorithm == "sha-256").hex(":").upper(),
        address,
        controlling,
        sorted({(one.id, one.uri) for section in description.sections for one in section.extensions}),
        publishes,
        receives,
        data,
        counts_only,
        feedback,
    )


def sent_by(text: str) -> list[Stream]:
    """What an SFU's description announces that it sends."""
    return [
        Stream(section.mid or "", section.kind, *_ssrcs(section.sources, section.source_groups))
        for section in parse(text, LARGE).sections
        if section.kind in CODECS and section.direction.sends and section.sources and not section.refused
    ]


def _ssrcs(sources: Collection[Source], groups: Collection[SourceGroup]) -> tuple[int, int | None]:
    repairs = {group.ssrcs[0]: group.ssrcs[1] for group in groups if group.semantics == "FID"}
    main = next(one.ssrc for one in sources if one.ssrc not in repairs.values())
    return main, repairs.get(main)
