import json
from typing import Any

import pytest
from callcluster_common.bus.posts import FromSfu, Parcels, Post, Replaced, ToSfu, asked, pack, unpack
from callcluster_common.messages.client import Layout, Offer

SID = "s" * 16
OFFER: dict[str, Any] = {"sdp": "x", "route": "s.1-1", "seq": 1, "wants": {"0": "t1"}}
ANSWER: dict[str, Any] = {"sdp": "x", "route": "s.1-1", "seq": 1, "published": {"0": "t1"}, "unserved": []}
TRACK = {"track": "t1", "sid": SID, "kind": "audio", "mid": "0", "muted": False}


def frame(kind: str, data: dict[str, Any], **rest: Any) -> str:
    return json.dumps({"t": kind, "d": data, **rest})


def to_sfu(text: str) -> ToSfu:
    return ToSfu("room", "s.1", SID, "p.1", text)


@pytest.mark.parametrize(
    "post",
    [
        Parcels("room", [(SID, frame("key.deliver", {"body": "x"}, **{"from": SID}))]),
        Replaced(SID, "p.1"),
        to_sfu(frame("offer", OFFER, to="sfu")),
        to_sfu(frame("layout", {"wishes": {"t1": {"highest": 2}, "t2": {"paused": True}}})),
        FromSfu(
            "room",
            "s.1",
            [
                (SID, frame("answer", ANSWER, **{"from": "sfu"})),
                (SID, frame("sfu.refused", {"route": "r", "seq": 1, "reason": "full"})),
                (SID, frame("sfu", {"route": "r", "rev": 1, "tracks": [TRACK]})),
            ],
        ),
    ],
)
def test_posts_arrive_as_they_were_sent(post: Post) -> None:
    assert unpack(pack(post)) == post


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        frame("offer", {"sdp": "x"}, to="sfu"),
        frame("offer", {**OFFER, "seq": None}, to="sfu"),
        frame("offer", OFFER, to={"sid": SID}),
        frame("offer", {"sdp": "x"}, to={"sid": SID}),
        frame("offer", {**OFFER, "sdp": "x" * 50_000}, to="sfu"),
        frame("offer", {**OFFER, "wants": {str(number): "t" for number in range(257)}}, to="sfu"),
        frame("offer", {**OFFER, "route": "a b"}, to="sfu"),
        frame("layout", {"wishes": {"t1": {"highest": 3}}}),
        frame("layout", {"wishes": {f"t{number}": {} for number in range(257)}}),
        frame("msg", {"body": "x"}, to="room"),
    ],
)
def test_what_no_member_may_ask_of_an_sfu_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        unpack(pack(to_sfu(text)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        frame("answer", ANSWER, **{"from": SID}),
        frame("answer", ANSWER),
        frame("answer", {"sdp": "x"}, **{"from": "sfu"}),
        frame("answer", ANSWER, off=7, **{"from": "sfu"}),
        frame("sfu", {"route": "r", "rev": 1, "tracks": []}, re="c1"),
        frame("sfu", {"route": "r", "rev": 1, "tracks": [{**TRACK, "kind": "screen"}]}),
        frame("key.deliver", {"body": "x"}, **{"from": SID}),
        frame("ev", {"kind": "ended"}),
    ],
)
def test_what_no_sfu_may_say_to_a_member_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        unpack(pack(FromSfu("room", "s.1", [(SID, text)])))


def test_pods_do_not_pass_frames_of_the_sfu_to_each_other() -> None:
    with pytest.raises(ValueError, match=r"\w"):
        unpack(pack(Parcels("room", [(SID, frame("answer", ANSWER, **{"from": "sfu"}))])))


def test_an_sfu_reads_what_it_is_asked() -> None:
    offer = asked(to_sfu(frame("offer", OFFER, to="sfu")))
    assert isinstance(offer, Offer)
    assert offer.d.wants == {"0": "t1"}
    layout = asked(to_sfu(frame("layout", {"wishes": {"t1": {"highest": 0}}})))
    assert isinstance(layout, Layout)
    assert layout.d.wishes["t1"].highest == 0
