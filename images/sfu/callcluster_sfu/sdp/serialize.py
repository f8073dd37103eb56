"""A description to text."""

from __future__ import annotations

from collections.abc import Iterator

from callcluster_sfu.sdp.values import Candidate, Codec, Description, Rid, Section, Simulcast, Transport


def serialize(description: Description) -> str:
    """The text of ``description``, lines ended by CRLF; ``parse`` gives the same value back."""
    return "".join(f"{line}\r\n" for line in _lines(description))


def _lines(description: Description) -> Iterator[str]:
    yield "v=0"
    yield f"o=- {description.origin.session} {description.origin.version} IN IP4 0.0.0.0"
    yield "s=-"
    yield f"c={_default_address(description)}"
    yield "t=0 0"
    for bundle in description.bundles:
        yield " ".join(("a=group:BUNDLE", *bundle))
    if description.ice_lite:
        yield "a=ice-lite"
    if description.allow_mixed:
        yield "a=extmap-allow-mixed"
    yield from _transport(description.transport)
    for section in description.sections:
        yield from _section(section)


def _default_address(description: Description) -> str:
    """That of the first candidate, so that its ``c=`` and ``m=`` lines agree (RFC 8839)."""
    for section in description.sections:
        for candidate in section.candidates:
            return f"IN {'IP6' if ':' in candidate.address else 'IP4'} {candidate.address}"
    return "IN IP4 0.0.0.0"


def _transport(transport: Transport) -> Iterator[str]:
    if transport.ice is not None:
        yield f"a=ice-ufrag:{transport.ice.ufrag}"
        yield f"a=ice-pwd:{transport.ice.pwd}"
    for fingerprint in transport.fingerprints:
        yield f"a=fingerprint:{fingerprint.algorithm} {fingerprint.digest.hex(':').upper()}"
    if transport.setup is not None:
        yield f"a=setup:{transport.setup.value}"


def _section(section: Section) -> Iterator[str]:
    yield " ".join((f"m={section.kind}", str(section.port), section.protocol, *section.formats))
    if section.max_bitrate is not None:
        yield f"b=TIAS:{section.max_bitrate}"
    if section.mid is not None:
        yield f"a=mid:{section.mid}"
    yield from _transport(section.transport)
    for candidate in section.candidates:
        yield f"a=candidate:{_candidate(candidate)}"
    flags = {
        "end-of-candidates": section.end_of_candidates,
        "bundle-only": section.bundle_only,
        "rtcp-mux": section.rtcp_mux,
        "rtcp-rsize": section.rtcp_rsize,
        "extmap-allow-mixed": section.allow_mixed,
        section.direction.value: True,
    }
    yield from (f"a={name}" for name, stands in flags.items() if stands)
    for extension in section.extensions:
        limit = f"/{extension.direction.value}" if extension.direction is not None else ""
        yield f"a=extmap:{extension.id}{limit} {extension.uri}"
    for codec in section.codecs:
        yield from _codec(codec)
    for rid in section.rids:
        yield f"a=rid:{_rid(rid)}"
    if section.simulcast is not None:
        yield f"a=simulcast:{_simulcast(section.simulcast)}"
    for msid in section.msids:
        yield f"a=msid:{msid.stream}" + (f" {msid.track}" if msid.track is not None else "")
    for group in section.source_groups:
        yield " ".join((f"a=ssrc-group:{group.semantics}", *map(str, group.ssrcs)))
    for source in section.sources:
        yield f"a=ssrc:{source.ssrc}" + (f" cname:{source.cname}" if source.cname is not None else "")


def _candidate(candidate: Candidate) -> str:
    return (
        f"{candidate.foundation} {candidate.component} {candidate.transport} {candidate.priority} "
        f"{candidate.address} {candidate.port} typ {candidate.kind}"
    )


def _codec(codec: Codec) -> Iterator[str]:
    channels = f"/{codec.channels}" if codec.channels != 1 else ""
    yield f"a=rtpmap:{codec.payload_type} {codec.name}/{codec.clock}{channels}"
    if codec.parameters:
        parameters = ";".join(
            name if value is None else f"{name}={value}" for name, value in codec.parameters
        )
        yield f"a=fmtp:{codec.payload_type} {parameters}"
    for feedback in sorted(codec.feedback, key=lambda feedback: feedback.value):
        yield f"a=rtcp-fb:{codec.payload_type} {feedback.value}"


def _rid(rid: Rid) -> str:
    restrictions = [f"{name}={value}" for name, value in rid.restrictions]
    if rid.payload_types:
        restrictions.insert(0, "pt=" + ",".join(map(str, rid.payload_types)))
    return " ".join(filter(None, (rid.name, "send" if rid.sends else "recv", ";".join(restrictions))))


def _simulcast(simulcast: Simulcast) -> str:
    lists = []
    for direction, streams in (("send", simulcast.send), ("recv", simulcast.recv)):
        if streams:
            texts = (("~" if stream.paused else "") + ",".join(stream.rids) for stream in streams)
            lists.append(f"{direction} {';'.join(texts)}")
    return " ".join(lists)
