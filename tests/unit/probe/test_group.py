"""The pure parts of the call of many: what a track is, what is sent, what is said of it."""

from __future__ import annotations

import json

import pytest
from callcluster_common.messages.server import Track
from callcluster_probe.clip import (
    SOUNDS_PER_PICTURE,
    clip,
    picture_timestamp,
    sound_timestamp,
)
from callcluster_probe.e2ee.frames import is_key_frame
from callcluster_probe.media import Screen
from callcluster_probe.report import (
    GroupMemberReport,
    GroupReport,
    StrangerReport,
    as_json,
    as_text,
    percent_lost,
)
from callcluster_probe.sfu_link import candidates_everywhere, source_of


@pytest.mark.parametrize(
    ("kind", "mid", "expected"),
    [
        ("audio", "0", "mic"),
        ("video", "1", "cam"),
        ("video", "2", "screen"),
        ("video", "0", None),
        ("audio", "1", None),
        ("audio", "3", None),
        ("video", "01", None),
    ],
)
def test_a_track_is_what_its_place_at_its_sender_says(kind, mid, expected):
    assert source_of(Track("t1", "sid-of-a-member", kind, mid, False)) == expected


def test_the_clip_begins_with_its_one_key_frame_and_every_picture_can_be_shown():
    pictures = clip().pictures
    assert [is_key_frame(picture) for picture in pictures] == [True] + [False] * (len(pictures) - 1)
    screen = Screen()
    for picture in (*pictures, *pictures):  # as it is sent: over and over
        assert screen.show(picture)
    assert screen.seen.decoded == screen.seen.matched == 2 * len(pictures)


def test_the_clip_knows_its_own_frames_to_the_byte():
    made = clip()
    assert all(made.holds(frame) for frame in (*made.sounds, *made.pictures))
    assert not made.holds(made.pictures[0][:-1] + bytes([made.pictures[0][-1] ^ 1]))


def test_sounds_and_pictures_of_one_tick_are_of_one_moment():
    for tick in range(0, 1_000, SOUNDS_PER_PICTURE):
        assert sound_timestamp(tick) / 48_000 == pytest.approx(picture_timestamp(tick) / 90_000)


ANSWER = (
    "v=0\r\ns=-\r\n"
    "m=audio 1 A 96\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\na=setup:passive\r\n"
    "m=video 1 A 97\r\na=mid:1\r\na=setup:passive\r\nm=audio 1 A 96\r\na=mid:2\r\na=setup:passive\r\n"
)


def test_every_section_of_an_answer_gets_the_candidates_of_the_first_one_and_loses_nothing():
    lines = candidates_everywhere(ANSWER).split("\r\n")
    assert lines.count("a=candidate:1 1 udp 1 192.0.2.1 1 typ host") == 3
    assert sorted(set(lines)) == sorted(set(ANSWER.split("\r\n")))
    assert [line for line in lines if line.startswith(("m=", "a=mid", "a=setup"))] == [
        line for line in ANSWER.split("\r\n") if line.startswith(("m=", "a=mid", "a=setup"))
    ]


def member(first_frames_ms):
    return GroupMemberReport(
        first_frames_ms=first_frames_ms,
        received=100,
        opened=98,
        early=2,
        wrong=0,
        packets_received=99,
        packets_lost=1,
        loss_percent=percent_lost(1, 99),
        local_candidate="host",
        remote_candidate="host",
        protocol="udp",
    )


REPORT = GroupReport(
    ok=True,
    seconds=7.25,
    route="direct",
    members=[member([None, 200, 300]), member([200, None, 900]), member([300, 900, None])],
    stranger=StrangerReport(received=40, opened=0, trusted_by=0, given_away=0),
)


def test_a_call_of_many_is_told_in_words():
    rest = (
        "98 of 100 frames decrypted (2 came before their key), 1.0 % of packets lost, host to host over udp"
    )
    assert as_text(REPORT).splitlines() == [
        "The call of 3 works through the SFU: direct, 7.2 s",
        f"  member  1: first frames after 200 to 300 ms, {rest}",
        f"  member  2: first frames after 200 to 900 ms, {rest}",
        f"  member  3: first frames after 300 to 900 ms, {rest}",
        "  wrong secret : 0 of 40 frames decrypted, trusted by 0",
    ]


def test_a_call_of_many_is_told_as_json():
    told = json.loads(as_json(REPORT))
    assert [each["first_frames_ms"] for each in told["members"]] == [
        [None, 200, 300],
        [200, None, 900],
        [300, 900, None],
    ]
    assert "error" not in told


def test_a_failed_call_of_many_is_one_line():
    assert as_text(GroupReport(ok=False, error="no SFU")) == "The call failed: no SFU"


def test_without_packets_nothing_is_lost():
    assert (percent_lost(0, 0), percent_lost(1, 3)) == (0.0, 25.0)
