"""What a session makes of the frames of its client."""

import json
from typing import Any

import msgspec
import pytest
from callcluster_common.messages import server
from callcluster_common.messages.types import Bundle, CloseCode
from callcluster_signaling import effects as do
from callcluster_signaling.allowance import Rates
from callcluster_signaling.limits import STRIKES
from callcluster_signaling.metrics import Counts
from callcluster_signaling.session import Phase, Policy, Session
from kit.sig_client import MODERATOR, SECRET, token
from kit.sig_session import closed, error, frame, fresh, joined, opened, sent

OTHER = "o" * 16
BUNDLE = {"suite": "kx1", "ik": "A" * 43, "ek": "B" * 43, "nbf": 1, "exp": 2, "sig": "C" * 86}

# Frames that can't be used


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("", "malformed"),
        ("nonsense", "malformed"),
        ("[]", "malformed"),
        ("{}", "malformed"),
        ('{"t": 1}', "malformed"),
        ('{"t": "ping", "d": {"ts": "x"}}', "malformed"),
        ('{"t": "ping", "d": {"ts": 1}, "extra": 1}', "malformed"),
        ('{"t": "offer", "d": {"sdp": "x"}}', "malformed"),
        ('{"t": "offer", "to": {"sid": "short"}, "d": {"sdp": "x"}}', "malformed"),
        ('{"t": "offer", "to": "everybody", "d": {"sdp": "x"}}', "malformed"),
        ('{"t": "ping", "d": {"ts": NaN}}', "malformed"),
        ('{"t": "\ud800"}', "malformed"),
        ('{"t": "dance", "d": {}}', "unsupported"),
        ("[" * 60_000, "malformed"),
        ('{"t":' + '{"t":' * 10_000 + "1" + "}" * 10_001, "malformed"),
        ('{"t": "join", "d": ' + '{"room":' * 5_000 + "1" + "}" * 5_001, "malformed"),
        ('{"t": "join", "d": {"room": "a/b"}}', "malformed"),
        ('{"t": "join", "d": {"room": ""}}', "malformed"),
        (frame("offer", {"sdp": "x" * 50_000}, to={"sid": OTHER}), "malformed"),
        (frame("msg", {"body": "x" * 8_193}, to="room"), "malformed"),
        (frame("key.send", {"entries": [{"to": OTHER, "body": "x"}] * 129}), "malformed"),
        (frame("msg", {"body": "x" * 65_536}, to="room"), "too_large"),
    ],
)
def test_unusable_frames_get_an_error_and_the_session_goes_on(raw: str, code: str) -> None:
    session = joined()
    assert error(session.receive(raw, 10.0)) == code
    assert sent(session.receive(frame("ping", {"ts": 1.5}, id="p"), 10.0))["t"] == "pong"


def test_an_unusable_request_is_answered_under_its_id() -> None:
    assert sent(joined().receive('{"t": "dance", "id": "x1"}', 0.0))["re"] == "x1"
    assert sent(joined().receive('{"t": "join", "id": "x2", "d": 7}', 0.0))["re"] == "x2"


def test_binary_frames_end_the_connection() -> None:
    assert closed(joined().receive(b"{}", 0.0)) == CloseCode.PROTOCOL_ERROR


def test_a_client_that_sends_rubbish_only_is_cut_off() -> None:
    session = joined()
    for number in range(100):
        assert error(session.receive("{", 0.0)) == "malformed", number
    assert closed(session.receive("{", 0.0)) == CloseCode.PROTOCOL_ERROR


def test_a_slip_now_and_then_never_adds_up_to_a_cut() -> None:
    session = joined()
    for number in range(500):
        assert error(session.receive("{", 20.0 * number)) == "malformed"


# Rates


def test_a_flood_is_limited_and_in_the_end_cut_off() -> None:
    session = joined()
    codes: list[Any] = []
    for number in range(1000):
        (effect,) = session.receive(frame("ping", {"ts": 0}, id=str(number)), 1.0)
        if isinstance(effect, do.Close):
            codes.append(effect.code)
            break
        assert isinstance(effect, do.Send)
        reply = json.loads(effect.data)
        assert reply["re"] == str(number)
        codes.append(reply["d"].get("code", "pong") if reply["t"] == "error" else "pong")
    assert codes.count("pong") == 120
    assert codes[-1] == CloseCode.RATE_LIMITED
    assert codes.count("rate_limited") == STRIKES.burst


def test_bytes_are_limited_beside_messages() -> None:
    session = Session(Policy(SECRET, False, 60, Rates(bytes_per_second=16_384)), 0.0, Counts())
    large = frame("ping", {"ts": 1.0}) + " " * 60_000
    (effect,) = session.receive(frame("hello", {"cid": "c" * 16, "token": token()}, id="h"), 0.0)
    assert isinstance(effect, do.Open)
    session.opened("h")
    codes = [sent(session.receive(large, 1.0))["t"] for _ in range(8)]
    assert codes == ["pong"] * 4 + ["error"] * 4
    refused = sent(session.receive(large, 1.0))
    assert refused["d"]["code"] == "rate_limited"
    wait = 1.0 + refused["d"]["retry_after_ms"] / 1000
    assert sent(session.receive(large, wait))["t"] == "pong"


def test_bytes_count_as_they_travel() -> None:
    counts = Counts()
    session = Session(Policy(SECRET, False, 60), 0.0, counts)
    session.receive("\u20ac", 0.0)
    assert counts.received_bytes == 3


def test_a_limited_request_may_be_repeated_under_its_id() -> None:
    session = joined()
    for _ in range(200):
        effects = session.receive(frame("key.request", {"kid": 1}, to={"sid": OTHER}, id="same"), 1.0)
        session.fail("same", "unavailable")
        if isinstance(effects[0], do.Send):
            break
    assert error(effects) == "rate_limited"
    assert isinstance(
        session.receive(frame("key.request", {"kid": 1}, to={"sid": OTHER}, id="same"), 100.0)[0], do.Seal
    )


# Rooms


def test_a_token_opens_its_room_only() -> None:
    session = opened()
    assert error(session.receive(frame("join", {"room": "other"}, id="j"), 0.0)) == "forbidden"


def test_one_room_at_a_time() -> None:
    assert error(joined().receive(frame("join", {"room": "r2"}, id="j2"), 0.0)) == "already_joined"


@pytest.mark.parametrize(
    "kind",
    ["leave", "offer", "msg", "state", "bundle.refresh", "key.send", "key.ack", "mod.end", "mod.kick"],
)
def test_room_business_needs_a_room(kind: str) -> None:
    data: dict[str, Any] = {
        "offer": {"sdp": "x"},
        "msg": {"body": "x"},
        "key.send": {"entries": [{"to": OTHER, "body": "x"}]},
        "key.ack": {"kid": 1},
        "mod.kick": {"sid": OTHER},
        "bundle.refresh": {"bundle": BUNDLE},
    }.get(kind, {})
    to: dict[str, Any] = {"to": {"sid": OTHER}} if kind in ("offer", "msg", "key.ack") else {}
    assert error(opened().receive(frame(kind, data, id="1", **to), 0.0)) == "not_joined"


def test_a_relay_is_addressed_to_one_member() -> None:
    session = joined()
    assert error(session.receive(frame("offer", {"sdp": "x"}, to="room", id="1"), 0.0)) == "malformed"
    (effect,) = session.receive(frame("offer", {"sdp": "x"}, to={"sid": OTHER}, id="3"), 0.0)
    assert isinstance(effect, do.Publish)
    assert (effect.to, effect.re) == (OTHER, "3")


def test_a_relays_sender_is_the_session() -> None:
    session = joined()
    assert error(
        session.receive(frame("offer", {"sdp": "x"}, to={"sid": OTHER}, **{"from": OTHER, "id": "1"}), 0.0)
    ) == ("malformed")
    (effect,) = session.receive(frame("offer", {"sdp": "x"}, to={"sid": OTHER}), 0.0)
    assert isinstance(effect, do.Publish)
    assert effect.frame.from_ == session.sid


def test_each_key_goes_to_its_recipient_alone() -> None:
    session = joined()
    entries = [{"to": OTHER, "body": "AAA"}, {"to": "p" * 16, "body": "BBB"}]
    (effect,) = session.receive(frame("key.send", {"entries": entries}), 0.0)
    assert isinstance(effect, do.Seal)
    assert [sid for sid, _ in effect.parcels] == [OTHER, "p" * 16]
    assert b"BBB" not in effect.parcels[0][1]
    assert b"AAA" not in effect.parcels[1][1]


def test_no_recipient_gets_two_keys_by_one_message() -> None:
    session = joined()
    entries = [{"to": OTHER, "body": "AAA"}, {"to": "p" * 16, "body": "BBB"}, {"to": OTHER, "body": "CCC"}]
    assert error(session.receive(frame("key.send", {"entries": entries}, id="k"), 0.0)) == "malformed"


@pytest.mark.parametrize("field", ["nbf", "exp"])
def test_a_bundles_times_are_numbers_that_a_browser_can_read(field: str) -> None:
    session = opened()
    beyond = frame("join", {"room": "r1", "bundle": BUNDLE | {field: 2**53}}, id="1")
    assert error(session.receive(beyond, 0.0)) == "malformed"
    within = frame("join", {"room": "r1", "bundle": BUNDLE | {field: 2**53 - 1}}, id="2")
    assert isinstance(session.receive(within, 0.0)[0], do.Join)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("mod.kick", {"sid": OTHER}),
        ("mod.mute", {"sid": OTHER, "kind": "audio"}),
        ("mod.block", {"sid": OTHER, "media": "audio", "blocked": True}),
        ("mod.lock", {"locked": True}),
        ("mod.end", {}),
    ],
)
def test_moderation_needs_the_grant(kind: str, data: dict[str, Any]) -> None:
    assert error(joined().receive(frame(kind, data, id="1"), 0.0)) == "forbidden"
    (effect,) = joined(g=MODERATOR).receive(frame(kind, data, id="1"), 0.0)
    assert not isinstance(effect, do.Send)


def test_a_refreshed_bundle_goes_to_the_room_and_into_the_roster() -> None:
    session = joined()
    (effect,) = session.receive(frame("bundle.refresh", {"bundle": BUNDLE}, id="1"), 0.0)
    assert isinstance(effect, do.Publish)
    assert isinstance(effect.frame, server.Event)
    assert (effect.frame.d.kind, effect.frame.d.sid) == ("renewed", session.sid)
    assert session.roster_line
    assert effect.change
    member = session.roster_line.publish(effect.change)
    assert member.bundle == effect.frame.d.bundle == msgspec.convert(BUNDLE, Bundle)


def test_grants_hold_for_messages_and_sources() -> None:
    session = joined(g={"pub": ["mic"], "msg": False})
    assert error(session.receive(frame("msg", {"body": "x"}, to="room", id="1"), 0.0)) == "forbidden"
    assert error(session.receive(frame("state", {"video": True}, id="2"), 0.0)) == "forbidden"
    (effect,) = session.receive(frame("state", {"audio": True, "hand": True}, id="3"), 0.0)
    assert isinstance(effect, do.Publish)


# Replies


def test_a_repeated_request_is_answered_again_and_not_done_again() -> None:
    session = joined()
    offer = frame("offer", {"sdp": "x"}, to={"sid": OTHER}, id="o1")
    assert isinstance(session.receive(offer, 1.0)[0], do.Publish)
    assert session.receive(offer, 1.0) == []  # its first is being worked on
    first = session.succeed("o1")
    assert session.receive(offer, 2.0) == first


def test_a_failure_for_good_is_remembered_and_a_passing_one_is_not() -> None:
    session = joined()
    offer = frame("offer", {"sdp": "x"}, to={"sid": OTHER}, id="o1")
    session.receive(offer, 1.0)
    first = session.fail("o1", "no_such_member")
    assert sent(session.receive(offer, 2.0)) == sent(first)
    later = frame("offer", {"sdp": "x"}, to={"sid": OTHER}, id="o2")
    session.receive(later, 3.0)
    session.fail("o2", "unavailable")
    assert isinstance(session.receive(later, 4.0)[0], do.Publish)


def test_what_an_earlier_socket_did_is_not_done_again() -> None:
    first = joined()
    session = fresh()
    session.receive(
        frame("resume", {"resume_token": first.resume_token, "cid": "c" * 16, "attempt": 1}, id="r"), 0.0
    )
    session.resumed("r", first.record, 0.0, ["j", "o1"])
    assert session.phase is Phase.JOINED
    assert sent(session.receive(frame("offer", {"sdp": "x"}, to={"sid": OTHER}, id="o1"), 0.0)) == {
        "t": "ok",
        "re": "o1",
        "d": {},
    }
    assert isinstance(session.receive(frame("join", {"room": "r1"}, id="j"), 0.0)[0], do.Rejoin)
    assert isinstance(
        session.receive(frame("offer", {"sdp": "x"}, to={"sid": OTHER}, id="o2"), 0.0)[0], do.Publish
    )


def test_frames_without_an_id_get_no_ok() -> None:
    session = joined()
    session.receive(frame("offer", {"sdp": "x"}, to={"sid": OTHER}), 0.0)
    assert session.succeed(None) == []
