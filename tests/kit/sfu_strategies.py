"""Session descriptions for property tests: any that can be said, and those that browsers send."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from callcluster_sfu.sdp.values import (
    Candidate,
    Codec,
    Description,
    Direction,
    Extension,
    Feedback,
    Fingerprint,
    IceCredentials,
    Msid,
    Origin,
    Rid,
    Section,
    Setup,
    Simulcast,
    SimulcastStream,
    Source,
    SourceGroup,
    Transport,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from kit.sfu_offers import audio, offer, stopped, video

Item = TypeVar("Item")
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no counter-example."""

LETTERS = string.ascii_letters + string.digits
directions = st.sampled_from(Direction)
tokens = st.text(LETTERS + "-._{}+", min_size=1, max_size=6)
rid_names = st.text(LETTERS + "-_", min_size=1, max_size=4)
ssrcs = st.integers(0, 2**32 - 1)
transports = st.builds(
    Transport,
    st.none()
    | st.builds(
        IceCredentials,
        st.text(LETTERS + "+/", min_size=4, max_size=12),
        st.text(LETTERS + "+/", min_size=22, max_size=30),
    ),
    st.lists(
        st.one_of(
            st.builds(Fingerprint, st.just("sha-256"), st.binary(min_size=32, max_size=32)),
            st.builds(Fingerprint, st.just("sha-512"), st.binary(min_size=64, max_size=64)),
        ),
        unique_by=lambda hashed: hashed.algorithm,
        max_size=2,
    ).map(tuple),
    st.none() | st.sampled_from(Setup),
)
candidates = st.builds(
    Candidate,
    tokens,
    st.integers(1, 256),
    st.sampled_from(["udp", "tcp"]),
    st.integers(0, 2**31 - 1),
    st.ip_addresses().map(str),
    st.integers(0, 65_535),
    st.sampled_from(["host", "srflx", "relay"]),
)
parameters = st.lists(
    st.tuples(tokens.map(str.lower), st.none() | st.text(LETTERS + "/=", max_size=6)), max_size=4
).map(tuple)
streams = st.lists(
    st.builds(SimulcastStream, st.lists(rid_names, min_size=1, max_size=2).map(tuple), st.booleans()),
    min_size=1,
    max_size=3,
).map(tuple)
simulcasts = st.one_of(
    st.none(),
    st.builds(Simulcast, streams, streams),
    st.builds(Simulcast, send=streams),
    st.builds(Simulcast, recv=streams),
)


def few(
    items: st.SearchStrategy[Item], *, by: Callable[[Item], object] | None = None
) -> st.SearchStrategy[tuple[Item, ...]]:
    """Up to two of ``items``, unlike in ``by``."""
    return st.lists(items, unique_by=by, max_size=2).map(tuple)


PAYLOAD_TYPES = (96, 0, 127)
payload_types = st.sampled_from(PAYLOAD_TYPES)
codecs = st.builds(
    Codec,
    payload_types,
    tokens,
    st.integers(1, 2**31 - 1),
    st.integers(1, 255),
    parameters,
    st.frozensets(st.sampled_from(Feedback), max_size=2),
)
rids = st.builds(
    Rid,
    rid_names,
    st.booleans(),
    few(payload_types),
    few(st.tuples(st.sampled_from(["max-br", "x"]), tokens)),
)
sections = st.builds(
    Section,
    st.sampled_from(["audio", "video", "text"]),
    st.integers(0, 65_535),
    st.sampled_from(["UDP/TLS/RTP/SAVPF", "RTP/SAVPF"]),
    st.just(tuple(map(str, PAYLOAD_TYPES))),
    mid=st.none() | tokens,
    direction=directions,
    bundle_only=st.booleans(),
    rtcp_mux=st.booleans(),
    rtcp_rsize=st.booleans(),
    transport=transports,
    candidates=few(candidates),
    end_of_candidates=st.booleans(),
    codecs=few(codecs, by=lambda codec: codec.payload_type).map(
        lambda chosen: tuple(sorted(chosen, key=lambda codec: PAYLOAD_TYPES.index(codec.payload_type)))
    ),
    extensions=few(
        st.builds(Extension, st.integers(1, 4_351), tokens, st.none() | directions),
        by=lambda extension: extension.id,
    ),
    allow_mixed=st.booleans(),
    rids=few(rids, by=lambda rid: rid.name),
    simulcast=simulcasts,
    msids=few(st.builds(Msid, tokens, st.none() | tokens)),
    sources=few(st.builds(Source, ssrcs, st.none() | tokens), by=lambda source: source.ssrc),
    source_groups=few(st.builds(SourceGroup, tokens, st.lists(ssrcs, min_size=1, max_size=2).map(tuple))),
    max_bitrate=st.none() | st.integers(0, 2**40),
)
numbers = st.integers(0, 2**64 - 1)
descriptions = st.builds(
    Description,
    st.builds(Origin, numbers, numbers),
    st.lists(sections, unique_by=lambda section: section.mid or object(), max_size=2).map(tuple),
    few(st.lists(tokens, unique=True, max_size=3).map(tuple)),
    ice_lite=st.booleans(),
    allow_mixed=st.booleans(),
    transport=transports,
)
"""Any description that can be written down, sensible or not."""


@st.composite
def client_sections(draw: st.DrawFn, mid: str, number: int) -> Section:
    """One section as a browser would offer it; ``number`` keeps SSRCs apart."""
    direction = draw(directions)
    ssrc = draw(st.sampled_from([0, 100_000 + 10 * number]))
    if draw(st.booleans()):
        return audio(mid, direction, ssrc=ssrc)
    codecs = draw(st.lists(st.sampled_from(["VP8", "VP9", "H264", "AV1"]), unique=True, min_size=1))
    rids: list[str] = []
    if direction.sends and not ssrc:
        rids = draw(st.lists(st.sampled_from(["q", "h", "f", "1"]), unique=True))
    section = video(mid, direction, ssrc=ssrc, rids=tuple(rids), codecs=tuple(codecs))
    kept = draw(st.sets(st.sampled_from(section.extensions)))
    return replace(
        section,
        extensions=tuple(
            extension for extension in section.extensions if extension in kept or extension.id == 4
        ),
    )


@st.composite
def offers(draw: st.DrawFn) -> Description:
    """A first offer of a browser, of a page that always has a section for the microphone."""
    drawn = [draw(client_sections(str(index), index)) for index in range(draw(st.integers(0, 4)))]
    return offer(audio("mic", draw(directions)), *drawn, allow_mixed=draw(st.booleans()))


@st.composite
def conversations(draw: st.DrawFn) -> list[Description]:
    """Offers of one browser one after another: tracks come, turn, end, and sections are used again."""
    current: list[Section] = []
    said: list[Description] = []
    next_mid = 0
    for version in range(1, draw(st.integers(2, 5))):
        for index, section in enumerate(current):
            if section.refused:
                if draw(st.booleans()):
                    current[index] = draw(client_sections(str(next_mid), next_mid))
                    next_mid += 1
            else:
                change = draw(st.sampled_from(["none", "none", "turn", "stop"]))
                if change == "turn":
                    current[index] = replace(section, direction=draw(directions))
                elif change == "stop":
                    current[index] = stopped(section)
        for _ in range(draw(st.integers(0, 2))):
            current.append(draw(client_sections(str(next_mid), next_mid)))
            next_mid += 1
        said.append(offer(audio("mic"), *current, version=version))
    return said
