"""What a session makes of frames that go to the SFU."""

import json
from typing import Any

import pytest
from callcluster_signaling import effects as do
from callcluster_signaling.answers import encode
from kit.sig_session import error, frame, joined, opened, sent

OFFER: dict[str, Any] = {"sdp": "x", "route": "s.1-1", "seq": 1, "wants": {}}
OTHER = {"sid": "o" * 16}


def test_an_offer_to_the_sfu_is_handed_on_without_its_request_id() -> None:
    (effect,) = joined().receive(frame("offer", OFFER, to="sfu", id="o1"), 0.0)
    assert isinstance(effect, do.TellSfu)
    assert effect.re == "o1"
    assert json.loads(effect.frame) == {"t": "offer", "to": "sfu", "d": OFFER}


def test_a_layout_is_handed_on() -> None:
    wishes = {"t1": {"highest": 1}, "t2": {"paused": True}, "t3": {}}
    (effect,) = joined().receive(frame("layout", {"wishes": wishes}), 0.0)
    assert isinstance(effect, do.TellSfu)
    assert json.loads(effect.frame) == {"t": "layout", "d": {"wishes": wishes}}


@pytest.mark.parametrize("missing", ["route", "seq", "wants"])
def test_an_offer_to_the_sfu_says_for_which_transport_it_is(missing: str) -> None:
    data = {key: value for key, value in OFFER.items() if key != missing}
    assert error(joined().receive(frame("offer", data, to="sfu"), 0.0)) == "malformed"


@pytest.mark.parametrize("extra", ["route", "seq", "wants"])
def test_an_offer_to_a_member_has_nothing_that_is_for_an_sfu(extra: str) -> None:
    data = {"sdp": "x", extra: OFFER[extra]}
    assert error(joined().receive(frame("offer", data, to=OTHER), 0.0)) == "malformed"


def test_an_offer_to_a_member_is_relayed_as_it_was() -> None:
    session = joined()
    (effect,) = session.receive(frame("offer", {"sdp": "x"}, to=OTHER), 0.0)
    assert isinstance(effect, do.Publish)
    assert json.loads(encode(effect.frame)) == {"t": "offer", "from": session.sid, "d": {"sdp": "x"}}


def test_an_answer_to_a_member_is_relayed_as_it_was() -> None:
    session = joined()
    (effect,) = session.receive(frame("answer", {"sdp": "x"}, to=OTHER), 0.0)
    assert isinstance(effect, do.Publish)
    assert json.loads(encode(effect.frame)) == {"t": "answer", "from": session.sid, "d": {"sdp": "x"}}


@pytest.mark.parametrize("kind", ["answer", "ice", "restart", "key.ack"])
def test_nothing_but_offers_is_addressed_to_the_sfu(kind: str) -> None:
    data = {"sdp": "x"} if kind == "answer" else {"kid": 1} if kind == "key.ack" else {}
    assert error(joined().receive(frame(kind, data, to="sfu"), 0.0)) == "malformed"


def test_outside_of_a_room_there_is_no_sfu() -> None:
    assert error(opened().receive(frame("offer", OFFER, to="sfu"), 0.0)) == "not_joined"
    assert error(opened().receive(frame("layout", {"wishes": {}}), 0.0)) == "not_joined"


def test_frames_to_the_sfu_count_against_the_limits_of_the_session() -> None:
    session = joined()
    for number in range(1_000):
        (effect,) = session.receive(frame("layout", {"wishes": {}}, id=f"l{number}"), 0.0)
        if isinstance(effect, do.Send):
            break
    assert sent([effect])["d"]["code"] == "rate_limited"
    assert 50 < number < 200


def test_a_description_as_large_as_allowed_fits_a_frame() -> None:
    line = "a=x" + "y" * 59
    data = {
        **OFFER,
        "sdp": "\r\n".join([line] * 768)[:49_152],
        "wants": {str(n): f"t{n}" for n in range(256)},
    }
    assert len(data["sdp"]) > 49_000
    (effect,) = joined().receive(frame("offer", data, to="sfu"), 0.0)
    assert isinstance(effect, do.TellSfu)
