from dataclasses import replace
from pathlib import Path

import pytest
from callcluster_sfu.negotiation import (
    AddLeg,
    AddPeer,
    AddTrack,
    Encoding,
    ExtensionIds,
    Forward,
    RemoveLeg,
    RemoveTrack,
    RestartIce,
    SetExtensions,
)
from callcluster_sfu.negotiation.policy import AUDIO_LEVEL, DEPENDENCY, MID, RID
from callcluster_sfu.sdp import SdpError, parse, serialize
from callcluster_sfu.sdp.values import (
    Codec,
    Direction,
    Extension,
    Feedback,
    Fingerprint,
    IceCredentials,
    Rid,
    Section,
    Setup,
    Simulcast,
    SimulcastStream,
    Source,
    SourceGroup,
    Transport,
)
from kit.sfu_offers import CLIENT, POLICY, PROTOCOL, RESTARTED, SfuSide, audio, offer, stopped, video

OFFERS = Path(__file__).parent / "offers"
RECVONLY, SENDRECV, INACTIVE = Direction.RECVONLY, Direction.SENDRECV, Direction.INACTIVE
VP8 = Forward(track=900, kind="video", codec="vp8", stream="alice", name="t")
OPUS = Forward(track=901, kind="audio", codec="opus", stream="alice", name="t")
IDS = ExtensionIds(mid=4, rid=10, repaired_rid=11, transport_sequence=3, dependency=12)


def test_the_first_offer_makes_a_peer_and_its_tracks() -> None:
    outcome = SfuSide().answer(offer(audio("0", ssrc=7), video("1", rids=("q", "h", "f"))))
    assert outcome.commands == (
        AddPeer(1, "ufrag1", "1" * 24, bytes(range(32)), replace(IDS, audio_level=1)),
        AddTrack(1, 1, "audio", "0", "opus", 111, None, (Encoding(None, 7),)),
        AddTrack(2, 1, "video", "1", "vp8", 96, 97, (Encoding("q"), Encoding("h"), Encoding("f"))),
    )
    assert outcome.unserved == ()


def test_the_answer_is_ice_lite_passive_and_on_one_port() -> None:
    outcome = SfuSide().answer(offer(audio("0"), video("1")))
    answer = outcome.answer
    assert answer.ice_lite
    assert answer.transport == Transport(
        IceCredentials("ufrag1", "1" * 24), (Fingerprint("sha-256", bytes(32)),), Setup.PASSIVE
    )
    assert answer.bundles == (("0", "1"),)
    assert all(section.rtcp_mux and section.port == 10_000 for section in answer.sections)
    first, second = answer.sections[0].candidates
    assert (first.address, second.address) == ("192.0.2.1", "198.51.100.7")
    assert first.priority > second.priority
    assert answer.sections[1].candidates == ()


def test_of_several_codecs_the_clients_first_that_is_accepted_is_taken_alone() -> None:
    outcome = SfuSide().answer(offer(video("0", codecs=("H264", "AV1", "VP9", "VP8"))))
    assert outcome.answer.sections[0].codecs == (
        Codec(98, "VP9", 90_000, feedback=frozenset(Feedback)),
        Codec(99, "rtx", 90_000, parameters=(("apt", "98"),)),
    )


def test_without_rtx_there_is_no_nack() -> None:
    section = video("0")
    section = replace(section, codecs=tuple(codec for codec in section.codecs if codec.name != "rtx"))
    (codec,) = SfuSide().answer(offer(section)).answer.sections[0].codecs
    assert codec.feedback == {Feedback.NACK_PLI, Feedback.CCM_FIR, Feedback.TRANSPORT_CC}


@pytest.mark.parametrize("codecs", [("H264",), ("AV1",), ("H264", "AV1")])
def test_a_section_of_refused_codecs_alone_is_refused(codecs: tuple[str, ...]) -> None:
    outcome = SfuSide().answer(offer(audio("0"), video("1", codecs=codecs)))
    assert outcome.answer.sections[1].refused
    assert outcome.answer.bundles == (("0",),)
    assert outcome.unserved == ("1",)


def test_vp9_of_another_profile_is_not_accepted() -> None:
    section = video("0", codecs=("VP9",))
    ten_bit = replace(section.codecs[0], parameters=(("profile-id", "2"),))
    section = replace(section, codecs=(ten_bit, *section.codecs[1:]))
    assert SfuSide().answer(offer(section, audio("1"))).answer.sections[0].refused


def test_a_payload_type_that_reads_as_rtcp_is_not_accepted() -> None:
    section = replace(video("0"), formats=("72",), codecs=(Codec(72, "VP8", 90_000),))
    assert SfuSide().answer(offer(section, audio("1"))).answer.sections[0].refused


def test_data_channels_and_other_protocols_are_refused_in_place() -> None:
    data = Section("application", 9, "UDP/DTLS/SCTP", ("webrtc-datachannel",), mid="0")
    plain = replace(audio("1"), protocol="RTP/AVP")
    outcome = SfuSide().answer(offer(data, plain, audio("2")))
    assert [section.refused for section in outcome.answer.sections] == [True, True, False]
    assert [section.kind for section in outcome.answer.sections] == ["application", "audio", "audio"]
    assert outcome.answer.bundles == (("2",),)
    assert outcome.answer.sections[2].candidates


def test_extensions_out_of_the_list_are_left_out() -> None:
    section = audio("0")
    section = replace(section, extensions=(*section.extensions, Extension(9, "urn:example:x")))
    (answer,) = SfuSide().answer(offer(section)).answer.sections
    assert {extension.id for extension in answer.extensions} == {1, 3, 4}


def test_an_extension_that_is_offered_under_two_ids_gets_the_first() -> None:
    section = audio("0")
    section = replace(section, extensions=(*section.extensions, Extension(9, MID)))
    outcome = SfuSide().answer(offer(section))
    assert 9 not in {extension.id for extension in outcome.answer.sections[0].extensions}


def test_the_dependency_descriptor_needs_mixed_headers() -> None:
    with_it = SfuSide().answer(offer(video("0"), allow_mixed=True)).answer
    without = SfuSide().answer(offer(video("0"), allow_mixed=False)).answer
    assert DEPENDENCY in {extension.uri for extension in with_it.sections[0].extensions}
    assert with_it.allow_mixed
    assert DEPENDENCY not in {extension.uri for extension in without.sections[0].extensions}
    assert not without.allow_mixed


def test_an_extension_that_the_client_only_reads_is_not_expected_from_it() -> None:
    section = replace(
        audio("0", ssrc=7),
        extensions=(Extension(1, AUDIO_LEVEL, Direction.RECVONLY), Extension(4, MID, Direction.SENDONLY)),
    )
    outcome = SfuSide().answer(offer(section))
    (command, _) = outcome.commands
    assert isinstance(command, AddPeer)
    assert command.extensions == ExtensionIds(mid=4, audio_level=1)
    assert [extension.direction for extension in outcome.answer.sections[0].extensions] == [
        Direction.SENDONLY,
        Direction.RECVONLY,
    ]


def test_simulcast_is_cut_to_three_and_to_rids_that_are_understood() -> None:
    section = video("0", rids=("a", "b", "c", "d"))
    section = replace(
        section,
        rids=(
            Rid("a", True, restrictions=(("max-br", "100"),)),
            Rid("b", True, restrictions=(("max-colours", "2"),)),
            Rid("c", True, payload_types=(96, 98)),
            Rid("d", True),
        ),
    )
    answer = SfuSide().answer(offer(section)).answer.sections[0]
    assert answer.rids == (
        Rid("a", False, restrictions=(("max-br", "100"),)),
        Rid("c", False, payload_types=(96,)),
    )
    assert answer.simulcast == Simulcast(recv=(SimulcastStream(("a",)), SimulcastStream(("c",))))


def test_simulcast_without_the_rid_extension_is_one_stream() -> None:
    section = video("0", rids=("q", "h"))
    section = replace(section, extensions=tuple(e for e in section.extensions if e.uri != RID))
    outcome = SfuSide().answer(offer(section))
    assert outcome.answer.sections[0].simulcast is None
    assert outcome.state.published[0].encodings == (Encoding(),)


def test_a_bound_section_gets_a_leg_and_its_sources() -> None:
    outcome = SfuSide().answer(offer(audio("0", RECVONLY), video("1", RECVONLY)), {"0": OPUS, "1": VP8})
    assert outcome.commands[1:] == (
        AddLeg(1, 1, 901, "0", 111, 1001, None),
        AddLeg(2, 1, 900, "1", 96, 1002, (1003, 97)),
    )
    sound, picture = outcome.answer.sections
    assert sound.direction is picture.direction is Direction.SENDONLY
    assert picture.sources == (Source(1002, "alice"), Source(1003, "alice"))
    assert picture.source_groups == (SourceGroup("FID", (1002, 1003)),)
    assert sound.msids[0].stream == picture.msids[0].stream == "alice"


def test_a_leg_takes_the_codec_of_its_track() -> None:
    forward = replace(VP8, codec="vp9")
    outcome = SfuSide().answer(offer(video("0", RECVONLY, codecs=("VP8", "VP9"))), {"0": forward})
    assert outcome.state.legs[0].payload_type == 98


def test_a_subscriber_without_the_tracks_codec_gets_no_leg() -> None:
    outcome = SfuSide().answer(offer(video("0", RECVONLY, codecs=("VP9",))), {"0": VP8})
    assert outcome.state.legs == ()
    assert outcome.answer.sections[0].direction is INACTIVE
    assert outcome.unserved == ("0",)


def test_an_unbound_section_is_inactive() -> None:
    outcome = SfuSide().answer(offer(video("0", RECVONLY)))
    assert outcome.answer.sections[0].direction is INACTIVE
    assert outcome.unserved == ()


def test_one_section_may_carry_both_ways() -> None:
    outcome = SfuSide().answer(offer(video("0", SENDRECV)), {"0": VP8})
    assert outcome.answer.sections[0].direction is SENDRECV
    assert len(outcome.state.published) == len(outcome.state.legs) == 1


def test_nobody_publishes_more_than_the_limit() -> None:
    side = SfuSide(policy=replace(POLICY, max_tracks=1))
    outcome = side.answer(offer(audio("0"), video("1")))
    assert [track.mid for track in outcome.state.published] == ["0"]
    assert outcome.answer.sections[1].direction is INACTIVE
    assert outcome.unserved == ("1",)


def test_the_bitrate_limit_is_told_to_senders_of_video_alone() -> None:
    side = SfuSide(policy=replace(POLICY, max_video_bitrate=2_500_000))
    answer = side.answer(offer(audio("0"), video("1"), video("2", RECVONLY)), {"2": VP8}).answer
    assert [section.max_bitrate for section in answer.sections] == [None, 2_500_000, None]


def test_the_same_offer_again_changes_nothing() -> None:
    side = SfuSide()
    given = offer(audio("0", ssrc=7), video("1", rids=("q", "h", "f")), video("2", RECVONLY))
    first = side.answer(given, {"2": VP8})
    second = side.answer(replace(given, origin=replace(given.origin, version=2)), {"2": VP8})
    assert second.commands == ()
    assert second.answer.sections == first.answer.sections
    assert second.answer.transport == first.answer.transport
    assert second.answer.origin.version == first.answer.origin.version + 1


def test_a_preference_for_another_codec_does_not_touch_a_running_track() -> None:
    side = SfuSide()
    side.answer(offer(video("0", codecs=("VP8", "VP9"))))
    assert side.answer(offer(video("0", codecs=("VP9", "VP8")), version=2)).commands == ()


def test_a_codec_that_is_gone_ends_the_track_and_begins_another() -> None:
    side = SfuSide()
    side.answer(offer(video("0", codecs=("VP8", "VP9"))))
    ended, begun = side.answer(offer(video("0", codecs=("VP9",)), version=2)).commands
    assert ended == RemoveTrack(1)
    assert isinstance(begun, AddTrack)
    assert (begun.track, begun.codec) == (2, "vp9")


def test_a_sender_that_pauses_by_direction_ends_its_track() -> None:
    side = SfuSide()
    side.answer(offer(audio("0"), video("1")))
    assert side.answer(offer(audio("0"), video("1", INACTIVE), version=2)).commands == (RemoveTrack(2),)


def test_another_track_on_the_same_section_gets_a_leg_and_ssrcs_of_its_own() -> None:
    side = SfuSide()
    side.answer(offer(video("0", RECVONLY)), {"0": VP8})
    other = replace(VP8, track=950)
    commands = side.answer(offer(video("0", RECVONLY), version=2), {"0": other}).commands
    assert commands == (RemoveLeg(1), AddLeg(2, 1, 950, "0", 96, 1003, (1004, 97)))


def test_a_stopped_section_ends_what_it_carried_and_may_be_recycled() -> None:
    side = SfuSide()
    side.answer(offer(audio("0"), video("1", RECVONLY)), {"1": VP8})
    halted = side.answer(offer(audio("0"), stopped(video("1", RECVONLY)), version=2))
    assert halted.commands == (RemoveLeg(1),)
    assert halted.answer.sections[1].refused
    recycled = side.answer(offer(audio("0"), audio("5", RECVONLY), version=3), {"5": OPUS})
    assert [type(command) for command in recycled.commands] == [AddLeg]


def test_tracks_that_end_take_their_legs_without_an_offer() -> None:
    side = SfuSide()
    side.answer(offer(video("0", RECVONLY), audio("1", RECVONLY)), {"0": VP8, "1": OPUS})
    after, commands = side.state.without_tracks({900})
    assert commands == (RemoveLeg(1),)
    assert [leg.track for leg in after.legs] == [901]


def test_an_ice_restart_gets_new_credentials_and_keeps_the_media() -> None:
    side = SfuSide()
    side.answer(offer(audio("0")))
    outcome = side.answer(offer(audio("0"), version=2, transport=RESTARTED))
    assert outcome.commands == (RestartIce(1, "ufrag2", "2" * 24),)
    assert outcome.answer.transport.ice == IceCredentials("ufrag2", "2" * 24)


def test_a_header_extension_that_comes_later_is_told_to_the_plane() -> None:
    side = SfuSide()
    side.answer(offer(audio("0")))
    outcome = side.answer(offer(audio("0"), video("1", RECVONLY), version=2), {"1": VP8})
    assert outcome.commands[0] == SetExtensions(1, replace(IDS, audio_level=1))


def test_commands_do_not_print_credentials() -> None:
    assert "1" * 24 not in repr(SfuSide().answer(offer(audio("0"))).commands)


LATER = {
    "description: has fewer sections than the last offer": offer(audio("0"), version=2),
    "section 1: can't change its medium while it is in use": offer(audio("0"), audio("1"), version=2),
    "section 1: can't change its mid while it is in use": offer(audio("0"), video("9"), version=2),
    "a=fingerprint: can't change on a connection: make a new one": offer(
        audio("0"),
        video("1"),
        version=2,
        transport=replace(CLIENT, fingerprints=(Fingerprint("sha-256", bytes(32)),)),
    ),
    "a=ice-ufrag: an ICE restart must change both ice-ufrag and ice-pwd": offer(
        audio("0"),
        video("1"),
        version=2,
        transport=replace(CLIENT, ice=IceCredentials("abcd", "q" * 24)),
    ),
    "line 2, o=: is older than the offer that was answered last": offer(audio("0"), video("1"), version=0),
    "section 1: gives another meaning to a payload type in use": offer(
        audio("0"),
        replace(
            video("1"),
            codecs=(Codec(96, "VP9", 90_000), Codec(97, "rtx", 90_000, parameters=(("apt", "96"),))),
        ),
        version=2,
    ),
    "section 1: gives a header extension another id than it has": offer(
        audio("0"), replace(video("1"), extensions=(Extension(9, MID),)), version=2
    ),
    "section 1: gives another meaning to a header extension id in use": offer(
        audio("0"), replace(video("1"), extensions=(Extension(3, MID),)), version=2
    ),
}


@pytest.mark.parametrize("message", LATER)
def test_a_later_offer_may_not_change_what_is_settled(message: str) -> None:
    side = SfuSide()
    side.answer(offer(audio("0"), video("1")))
    before = side.state
    with pytest.raises(SdpError) as caught:
        side.answer(LATER[message])
    assert str(caught.value) == message
    assert side.state is before


FIRST = {
    "description: has no section that the SFU takes: Opus, VP8 or VP9": offer(video("0", codecs=("H264",))),
    "description: needs one a=group:BUNDLE line: everything shares one transport": replace(
        offer(audio("0")), bundles=()
    ),
    "section 1: must have a mid that is in the BUNDLE group": replace(
        offer(audio("0"), audio("1")), bundles=(("0",),)
    ),
    "a=group: must name live sections, and at least one": replace(offer(audio("0")), bundles=(("0", "1"),)),
    "a=ice-lite: both ends can't be ICE-lite: the client must be a full agent": replace(
        offer(audio("0")), ice_lite=True
    ),
    "section 0: needs a=ice-ufrag and a=ice-pwd": offer(audio("0"), transport=replace(CLIENT, ice=None)),
    "section 0: needs a=fingerprint with sha-256": offer(
        audio("0"), transport=replace(CLIENT, fingerprints=())
    ),
    "section 0: a=setup must be actpass or active: the SFU is the DTLS server": offer(
        audio("0"), transport=replace(CLIENT, setup=Setup.PASSIVE)
    ),
    "section 1: has other ICE or DTLS attributes than the first of its BUNDLE group": offer(
        audio("0"), replace(audio("1"), transport=RESTARTED)
    ),
    "section 0: needs a=rtcp-mux: there is one port": offer(replace(audio("0"), rtcp_mux=False)),
    "section 0: needs the mid header extension or a=ssrc to tell its packets": offer(
        replace(audio("0"), extensions=())
    ),
    "section 1: uses an SSRC that is in use": offer(audio("0", ssrc=7), audio("1", ssrc=7)),
    "section 1: gives another meaning to a payload type in use": offer(
        video("0"), replace(audio("1"), formats=("96",), codecs=(Codec(96, "opus", 48_000, 2),))
    ),
}


@pytest.mark.parametrize("message", FIRST)
def test_an_offer_that_cannot_work_is_refused_with_the_reason(message: str) -> None:
    side = SfuSide()
    with pytest.raises(SdpError) as caught:
        side.answer(FIRST[message])
    assert str(caught.value) == message


def test_a_track_of_another_kind_cannot_be_bound() -> None:
    with pytest.raises(SdpError, match="section 0: is bound to a track of another kind"):
        SfuSide().answer(offer(video("0", RECVONLY)), {"0": OPUS})


def test_a_track_cannot_be_bound_to_a_section_that_is_not_there() -> None:
    with pytest.raises(SdpError, match="tracks: are bound to a section that the offer has not"):
        SfuSide().answer(offer(video("0", RECVONLY)), {"1": VP8})


@pytest.mark.parametrize(
    ("name", "rids", "codec"),
    [
        ("chromium_sendrecv", (None,), "vp8"),
        ("chromium_simulcast", ("q", "h", "f"), "vp8"),
        ("chromium_svc", (None,), "vp9"),
        ("firefox_simulcast", ("q", "h", "f"), "vp8"),
    ],
)
def test_offers_of_browsers_are_answered(name: str, rids: tuple[str | None, ...], codec: str) -> None:
    outcome = SfuSide().answer(parse((OFFERS / f"{name}.sdp").read_text()))
    track = outcome.state.published[-1]
    assert (tuple(encoding.rid for encoding in track.encodings), track.codec) == (rids, codec)
    assert track.rtx_payload_type is not None
    added = outcome.commands[0]
    assert isinstance(added, AddPeer)
    assert added.extensions.mid
    assert added.extensions.transport_sequence
    assert bool(added.extensions.dependency) is (name in ("chromium_simulcast", "chromium_svc"))
    assert parse(serialize(outcome.answer)) == outcome.answer


def test_protocol_spellings_of_one_thing_are_all_taken() -> None:
    for protocol in (PROTOCOL, "TCP/TLS/RTP/SAVPF", "RTP/SAVPF"):
        (answer,) = SfuSide().answer(offer(replace(audio("0"), protocol=protocol))).answer.sections
        assert (answer.protocol, answer.refused) == (protocol, False)
