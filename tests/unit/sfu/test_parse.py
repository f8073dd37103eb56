from dataclasses import fields
from pathlib import Path

import pytest
from callcluster_sfu.sdp import Limits, SdpError, parse, serialize
from callcluster_sfu.sdp.values import (
    Candidate,
    Codec,
    Direction,
    Extension,
    Feedback,
    Setup,
    SimulcastStream,
    Source,
    SourceGroup,
)

OFFERS = Path(__file__).parent / "offers"
HEAD = "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\n"
VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\n"
SECRET = "Xyzzy"


@pytest.mark.parametrize("path", sorted(OFFERS.glob("*.sdp")), ids=lambda path: path.stem)
def test_a_browsers_offer_comes_back_the_same_from_its_own_text(path: Path) -> None:
    described = parse(path.read_text())
    assert parse(serialize(described)) == described
    assert all(section.codecs for section in described.sections)


def test_crlf_and_lf_read_the_same() -> None:
    text = (OFFERS / "chromium_simulcast.sdp").read_text()
    assert parse(text.replace("\n", "\r\n")) == parse(text)


def test_a_simulcast_offer_of_chromium_says_what_it_sends() -> None:
    audio, video = parse((OFFERS / "chromium_simulcast.sdp").read_text()).sections
    assert audio.codecs == (
        Codec(
            111,
            "opus",
            48000,
            2,
            (("minptime", "10"), ("useinbandfec", "1")),
            frozenset({Feedback.TRANSPORT_CC}),
        ),
    )
    assert [rid.name for rid in video.rids] == ["q", "h", "f"]
    assert video.simulcast is not None
    assert video.simulcast.send == (
        SimulcastStream(("q",)),
        SimulcastStream(("h",)),
        SimulcastStream(("f",)),
    )
    assert video.direction is Direction.SENDONLY
    assert video.codecs[0].feedback == frozenset(Feedback)
    assert video.transport.setup is Setup.ACTPASS


def test_session_level_attributes_of_firefox_are_kept_where_they_stand() -> None:
    described = parse((OFFERS / "firefox_simulcast.sdp").read_text())
    assert [hashed.algorithm for hashed in described.transport.fingerprints] == ["sha-256"]
    assert described.sections[1].bundle_only
    assert not described.sections[1].refused
    assert Extension(8, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", Direction.SENDONLY) in (
        described.sections[1].extensions
    )


def test_a_section_without_direction_has_that_of_the_session() -> None:
    text = HEAD + "a=recvonly\n" + VIDEO + "m=audio 9 UDP/TLS/RTP/SAVPF 0\na=sendonly\n"
    assert [section.direction for section in parse(text).sections] == [
        Direction.RECVONLY,
        Direction.SENDONLY,
    ]
    assert parse(HEAD + VIDEO).sections[0].direction is Direction.SENDRECV


def test_sources_and_their_retransmissions_are_read() -> None:
    section = parse(
        HEAD + VIDEO + "a=ssrc-group:FID 1 2\na=ssrc:1 cname:x\na=ssrc:1 msid:a b\na=ssrc:2 mslabel:a\n"
    ).sections[0]
    assert section.sources == (Source(1, "x"), Source(2))
    assert section.source_groups == (SourceGroup("FID", (1, 2)),)


def test_feedback_for_all_formats_reaches_each_codec() -> None:
    section = parse(
        HEAD + VIDEO + "a=rtcp-fb:* nack\na=rtpmap:96 VP8/90000\na=rtcp-fb:96 ccm fir\n"
    ).sections[0]
    assert section.codecs[0].feedback == {Feedback.NACK, Feedback.CCM_FIR}


def test_the_codec_order_is_that_of_the_m_line() -> None:
    section = parse(HEAD + VIDEO + "a=rtpmap:97 VP9/90000\na=rtpmap:96 VP8/90000\n").sections[0]
    assert [codec.name for codec in section.codecs] == ["VP8", "VP9"]


def test_a_candidate_keeps_what_a_lite_agent_needs() -> None:
    line = "a=candidate:1 1 UDP 2130706431 0a1b.local 5000 typ host generation 0 network-cost 999\n"
    assert parse(HEAD + VIDEO + line).sections[0].candidates == (
        Candidate("1", 1, "udp", 2130706431, "0a1b.local", 5000, "host"),
    )


def test_what_the_parser_does_not_know_is_skipped() -> None:
    text = HEAD + f"a=identity:{SECRET}\n" + VIDEO + f"i={SECRET}\nc=IN IP4 0.0.0.0\na={SECRET}\nb=AS:300\n"
    assert parse(text) == parse(HEAD + VIDEO)


def test_rtp_attributes_mean_nothing_in_a_section_of_data() -> None:
    data = (
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:7\na=rtpmap:nonsense\na=sctp-port:5000\n"
    )
    section = parse(HEAD + data).sections[0]
    assert (section.kind, section.mid, section.codecs) == ("application", "7", ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: is not of the form <type>=<value>"),
        (f"{SECRET}\n", "line 1: is not of the form <type>=<value>"),
        (f"v={SECRET}\n", "line 1, v=: must be 0"),
        ("v=0\n", "description: must begin with v=, o= and s="),
        (
            f"v=0\no=- {SECRET} 1 IN IP4 0\ns=-\n",
            "line 2, o=: the session id must be a number from 0 to 18446744073709551615",
        ),
        ("v=0\no=- 1 1 IN IP4 0\ns=-\n", "description: has no t= line before its first section"),
        (HEAD + "v=0\n", "line 5, v=: must stand once, at the start"),
        (HEAD + "m=video\n", "line 5, m=: needs 4 to 67 words"),
        (HEAD + "m=video 70000 RTP/SAVPF 96\n", "line 5, m=: the port must be a number from 0 to 65535"),
        (HEAD + "m=video 9 RTP/SAVPF 128\n", "line 5, m=: a payload type must be a number from 0 to 127"),
        (HEAD + "m=video 9 RTP/SAVPF 96 96\n", "line 5, m=: has a payload type twice"),
        (
            HEAD + VIDEO + f"a=mid:{SECRET}{SECRET}{SECRET}{SECRET}\n",
            "line 6, a=mid: it must be a token of at most 16 characters",
        ),
        (HEAD + VIDEO + "a=mid:1\na=mid:2\n", "line 7, a=mid: stands twice"),
        (HEAD + VIDEO + "a=sendonly\na=recvonly\n", "line 7, a=recvonly: stands twice"),
        (HEAD + VIDEO + "a=mid:1\n" + VIDEO + "a=mid:1\n", "section 1: has the mid of an earlier section"),
        (
            HEAD + VIDEO + f"a=rtpmap:{SECRET} VP8/90000\n",
            "line 6, a=rtpmap: the payload type must be a number from 0 to 127",
        ),
        (
            HEAD + VIDEO + "a=rtpmap:98 VP8/90000\n",
            "line 6, a=rtpmap: names a payload type that the m= line has not",
        ),
        (
            HEAD + VIDEO + "a=rtpmap:96 VP8\n",
            "line 6, a=rtpmap: the clock rate must be a number from 1 to 2147483647",
        ),
        (
            HEAD + VIDEO + "a=rtpmap:96 VP8/1\na=rtpmap:96 VP8/1\n",
            "line 7, a=rtpmap: stands twice for a payload type",
        ),
        (HEAD + VIDEO + "a=fmtp:96 a\na=fmtp:96 b\n", "line 7, a=fmtp: stands twice for a payload type"),
        (
            HEAD + VIDEO + "a=fmtp:96 a=\u2028\n",
            "line 6, a=fmtp: a parameter's value must be printable ASCII",
        ),
        (
            HEAD + VIDEO + "a=fmtp:96 a=\x0b\n",
            "line 6, a=fmtp: a parameter's value must be printable ASCII",
        ),
        (HEAD + VIDEO + "a=extmap:0 urn:x\n", "line 6, a=extmap: the id must be a number from 1 to 4351"),
        (HEAD + VIDEO + "a=extmap:1/up urn:x\n", "line 6, a=extmap: has an unknown direction"),
        (HEAD + VIDEO + "a=extmap:1 urn:x\na=extmap:1 urn:y\n", "line 7, a=extmap: gives an id twice"),
        (
            HEAD + VIDEO + f"a=rid:{SECRET}! send\n",
            "line 6, a=rid: a rid must be at most 16 letters, digits, - and _",
        ),
        (HEAD + VIDEO + f"a=rid:q {SECRET}\n", "line 6, a=rid: the direction must be send or recv"),
        (HEAD + VIDEO + "a=rid:q send\na=rid:q send\n", "line 7, a=rid: stands twice for a rid"),
        (
            HEAD + VIDEO + "a=simulcast:send a send b\n",
            "line 6, a=simulcast: must be send or recv, or both, each with its list",
        ),
        (
            HEAD + VIDEO + "a=simulcast:send a recv\n",
            "line 6, a=simulcast: must be send or recv, or both, each with its list",
        ),
        (
            HEAD + VIDEO + "a=ssrc:4294967296 cname:x\n",
            "line 6, a=ssrc: the SSRC must be a number from 0 to 4294967295",
        ),
        (
            HEAD + VIDEO + f"a=ice-ufrag:{SECRET}$\n",
            "line 6, a=ice-ufrag: must be 4 to 256 ICE characters (RFC 8839 section 5.4)",
        ),
        (
            HEAD + VIDEO + "a=ice-ufrag:abcd\n",
            "line 5, m=: needs both a=ice-ufrag and a=ice-pwd, or neither",
        ),
        (
            HEAD + VIDEO + "a=fingerprint:sha-256 00:11\n",
            "line 6, a=fingerprint: needs 32 pairs of hexadecimal digits",
        ),
        (
            HEAD + VIDEO + f"a=setup:{SECRET}\n",
            "line 6, a=setup: must be active, passive, actpass or holdconn",
        ),
        (HEAD + VIDEO + f"a=candidate:{SECRET}\n", "line 6, a=candidate: needs 8 to 64 words"),
        (HEAD + "a=group:BUNDLE 1 1\n", "line 5, a=group: names a mid twice"),
        (HEAD + VIDEO + "t=0 0\n", "line 6, t=: can't stand within a section"),
        (HEAD + VIDEO + f"a={SECRET}\0\n", "line 6: has a control character"),
        (HEAD + VIDEO + f"a={SECRET}\rx\n", "line 6: has a control character"),
    ],
)
def test_a_broken_rule_is_named_with_its_line_and_without_the_peers_words(text: str, message: str) -> None:
    with pytest.raises(SdpError) as caught:
        parse(text)
    assert str(caught.value) == message


MANY = {
    "characters": "s=" + "x" * 100 + "\n",
    "lines": "a=x\n",
    "line_characters": "a=" + "x" * 100 + "\n",
    "sections": VIDEO,
    "formats": "m=audio 9 UDP/TLS/RTP/SAVPF 1 2 3 4 5\n",
    "extensions": VIDEO + "".join(f"a=extmap:{number} urn:x\n" for number in range(1, 6)),
    "sources": VIDEO + "".join(f"a=ssrc:{number} cname:x\n" for number in range(5)),
    "rids": VIDEO + "".join(f"a=rid:r{number} send\n" for number in range(5)),
    "candidates": VIDEO + "a=candidate:1 1 udp 1 0.0.0.0 1 typ host\n" * 5,
}


@pytest.mark.parametrize("bound", [bound.name for bound in fields(Limits)])
def test_each_limit_holds(bound: str) -> None:
    text = HEAD + (MANY[bound] * 5 if MANY[bound].count("\n") == 1 else MANY[bound])
    if bound in ("characters", "lines", "line_characters"):
        text = HEAD + VIDEO + MANY[bound].replace("s=", "i=") * 5
    if bound == "formats":
        text = HEAD + MANY[bound]
    generous = {"characters": len(text), "lines": text.count("\n"), "line_characters": 102}
    exact = Limits(**{bound: generous.get(bound, 5)})
    parse(text, exact)
    with pytest.raises(SdpError):
        parse(text, Limits(**{bound: generous.get(bound, 5) - 1}))
