import json
from typing import Any

import msgspec
import pytest
from callcluster_common.messages import server
from callcluster_common.messages.types import Bundle, CloseCode, Member
from callcluster_signaling import effects as do
from callcluster_signaling.allowance import Rates
from callcluster_signaling.limits import STRIKES
from callcluster_signaling.metrics import Counts
from callcluster_signaling.record import Record
from callcluster_signaling.session import Phase, Policy, Session
from callcluster_signaling.tokens import LEEWAY_SECONDS
from kit.sig_client import MODERATOR, SECRET, token

SID = "s" * 16
OTHER = "o" * 16
BUNDLE = {"suite": "kx1", "ik": "A" * 43, "ek": "B" * 43, "nbf": 1, "exp": 2, "sig": "C" * 86}


def frame(kind: str, data: dict[str, Any] | None = None, **rest: Any) -> str:
    return json.dumps({"t": kind, "d": data or {}, **rest})


def fresh(guests: bool = False, offered: str | None = None) -> Session:
    return Session(Policy(SECRET, guests, 60), 0.0, Counts(), offered)


def opened(**claims: Any) -> Session:
    session = fresh()
    (effect,) = session.receive(
        frame("hello", {"cid": "c" * 16, "token": token("r*", **claims)}, id="h"), 0.0
    )
    assert isinstance(effect, do.Open)
    session.opened("h")
    return session


def joined(**claims: Any) -> Session:
    session = opened(**claims)
    (effect,) = session.receive(frame("join", {"room": "r1"}, id="j"), 0.0)
    assert isinstance(effect, do.Join)
    session.joined("r1", Member(session.sid))
    session.succeed("j")
    return session


def sent(effects: list[do.Effect]) -> dict[str, Any]:
    (effect,) = effects
    assert isinstance(effect, do.Send)
    found: dict[str, Any] = json.loads(effect.data)
    return found


def error(effects: list[do.Effect]) -> str:
    found = sent(effects)
    assert found["t"] == "error"
    return str(found["d"]["code"])


def closed(effects: list[do.Effect]) -> int:
    (effect,) = effects
    assert isinstance(effect, do.Close)
    return effect.code


# Opening


def test_hello_with_a_token_opens_a_session() -> None:
    session = fresh()
    (effect,) = session.receive(frame("hello", {"cid": "c" * 16, "token": token()}, id="1"), 0.0)
    assert isinstance(effect, do.Open)
    reply = sent(session.opened("1"))
    assert reply["t"] == "hello.ok"
    assert reply["re"] == "1"
    assert reply["d"]["resume_token"].startswith(reply["d"]["sid"] + ".")
    assert reply["d"]["resume_window_ms"] == 60_000


def test_the_record_for_other_pods_holds_no_secret() -> None:
    session = opened(sub="alice@example.org")
    record = repr(session.record)
    assert "alice" not in record
    assert session.resume_token not in record
    assert session.resume_token.partition(".")[2] not in record


def test_a_token_may_come_as_a_subprotocol() -> None:
    session = fresh(offered=token())
    (effect,) = session.receive(frame("hello", {"cid": "c" * 16}), 0.0)
    assert isinstance(effect, do.Open)


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (None, CloseCode.BAD_TOKEN),
        ("rubbish", CloseCode.BAD_TOKEN),
        (token(secret="x" * 40), CloseCode.BAD_TOKEN),
        (token(ttl=-100), CloseCode.TOKEN_EXPIRED),
    ],
)
def test_without_a_good_token_the_socket_closes(made: str | None, code: int) -> None:
    data = {"cid": "c" * 16} | ({} if made is None else {"token": made})
    session = fresh()
    assert closed(session.receive(frame("hello", data), 0.0)) == code
    assert session.receive(frame("hello", {"cid": "c" * 16, "token": token()}), 0.0) == []


def test_guests_come_in_where_they_may() -> None:
    (effect,) = fresh(guests=True).receive(frame("hello", {"cid": "c" * 16}), 0.0)
    assert isinstance(effect, do.Open)


def test_a_bad_token_is_not_taken_for_a_guest() -> None:
    effects = fresh(guests=True).receive(frame("hello", {"cid": "c" * 16, "token": "rubbish"}), 0.0)
    assert closed(effects) == CloseCode.BAD_TOKEN


def test_nothing_works_before_hello() -> None:
    session = fresh()
    for kind, data in (("join", {"room": "r"}), ("leave", {}), ("turn.refresh", {}), ("bye", {})):
        assert error(session.receive(frame(kind, data, id=kind), 0.0)) == "not_authenticated"


def test_hello_has_three_seconds() -> None:
    session = fresh()
    assert session.tick(2.9, 0) == []
    assert closed(session.tick(3.1, 0)) == CloseCode.PROTOCOL_ERROR


def test_an_open_session_has_all_the_time_it_wants() -> None:
    assert opened().tick(1e6, 0) == []


def test_the_first_frame_is_small() -> None:
    effects = fresh().receive(frame("hello", {"cid": "c" * 16, "token": "x" * 9000}), 0.0)
    assert closed(effects) == CloseCode.PROTOCOL_ERROR


def test_hello_twice_is_an_error_and_changes_nothing() -> None:
    session = opened()
    sid = session.sid
    assert (
        error(session.receive(frame("hello", {"cid": "d" * 16, "token": token()}, id="2"), 0.0))
        == "malformed"
    )
    assert session.sid == sid


# Expiry


def test_an_expired_token_ends_the_session() -> None:
    session = opened()
    assert session.identity.exp is not None
    assert session.tick(1.0, session.identity.exp + LEEWAY_SECONDS - 1) == []
    assert closed(session.tick(1.0, session.identity.exp + LEEWAY_SECONDS + 1)) == CloseCode.TOKEN_EXPIRED


def test_a_fresh_token_prolongs_it() -> None:
    session = opened(sub="alice")
    old = session.identity.exp
    (effect,) = session.receive(
        frame("token.refresh", {"token": token("r*", sub="alice", ttl=9000)}, id="t"), 0.0
    )
    assert isinstance(effect, do.Save)
    assert session.identity.exp is not None
    assert old is not None
    assert session.identity.exp > old


@pytest.mark.parametrize(
    "made", [token("r*", sub="bob"), token("x", sub="alice"), token("r*", sub="alice", ttl=-99), "rubbish"]
)
def test_a_token_of_another_user_room_or_time_changes_nothing(made: str) -> None:
    session = joined(sub="alice")
    before = session.identity
    assert error(session.receive(frame("token.refresh", {"token": made}, id="t"), 0.0)) == "forbidden"
    assert session.identity == before


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
        (frame("offer", {"sdp": "x" * 33_000}, to={"sid": OTHER}), "malformed"),
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


def test_only_the_hash_of_a_resume_token_leaves_the_session() -> None:
    first = opened()
    session = fresh()
    (effect,) = session.receive(
        frame("resume", {"resume_token": first.resume_token, "cid": "c" * 16, "attempt": 1}), 0.0
    )
    assert isinstance(effect, do.Resume)
    assert effect.secret == first.secret
    assert first.resume_token not in repr(effect)


def test_a_bent_resume_token_says_how_to_go_on() -> None:
    reply = sent(
        fresh().receive(frame("resume", {"resume_token": "x", "cid": "c" * 16, "attempt": 1}, id="1"), 0.0)
    )
    assert (reply["d"]["code"], reply["d"]["next"]) == ("resume_failed", "rejoin")


def test_frames_without_an_id_get_no_ok() -> None:
    session = joined()
    session.receive(frame("offer", {"sdp": "x"}, to={"sid": OTHER}), 0.0)
    assert session.succeed(None) == []


def test_turn_credentials_are_due_at_half_of_their_life() -> None:
    session = joined()
    session.minted(100.0, 600)
    assert session.tick(399.0, 0) == []
    assert session.tick(400.0, 0) == [do.Turn(None)]
    assert session.tick(401.0, 0) == []


def test_a_record_survives_its_encoding() -> None:
    record = joined(jti="t").record
    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record


def test_who_said_hello_in_time_is_not_blamed_for_a_slow_bus() -> None:
    session = fresh(offered=token())
    hello = frame("hello", {"cid": "c" * 16}, id="1")
    assert isinstance(session.receive(hello, 0.0)[0], do.Open)
    assert session.tick(4.0, 0) == []
    session.fail("1", "unavailable", retry_after=1.0)
    assert isinstance(session.receive(hello, 5.0)[0], do.Open)
    assert closed(session.tick(16.0, 0)) == CloseCode.INTERNAL


def test_a_failed_resume_leaves_the_time_for_hello_as_it_was() -> None:
    session = fresh()
    for number in range(5):
        (effect,) = session.receive(resume_frame(id=str(number)), 0.5 * number)
        assert isinstance(effect, do.Resume)
        assert error(session.not_resumed(str(number), "rejoin", 0.5 * number)) == "resume_failed"
    assert session.sid == ""
    assert session.tick(2.9, 0) == []
    assert closed(session.tick(3.1, 0)) == CloseCode.PROTOCOL_ERROR


def test_the_time_that_a_failed_resume_took_is_not_the_clients() -> None:
    session = fresh()
    session.receive(resume_frame(id="r"), 1.0)
    assert session.tick(4.0, 0) == []
    session.not_resumed("r", "rejoin", 5.0)
    assert session.tick(6.9, 0) == []
    assert closed(session.tick(7.1, 0)) == CloseCode.PROTOCOL_ERROR


def test_resumes_that_fail_slowly_prolong_no_opening() -> None:
    session = fresh()
    for number in range(20):
        session.receive(resume_frame(id=str(number)), float(number))
        session.not_resumed(str(number), "rejoin", number + 1.0)
    assert closed(session.tick(15.1, 0)) == CloseCode.INTERNAL


def resume_frame(**rest: Any) -> str:
    made = f"{SID}.{'x' * 43}"
    return frame("resume", {"resume_token": made, "cid": "c" * 16, "attempt": 1}, **rest)
