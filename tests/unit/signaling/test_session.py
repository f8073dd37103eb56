"""How a session opens, comes back and expires."""

import msgspec
import pytest
from callcluster_common.messages.types import CloseCode
from callcluster_signaling import effects as do
from callcluster_signaling.record import Record
from callcluster_signaling.tokens import LEEWAY_SECONDS
from kit.sig_client import token
from kit.sig_session import closed, error, frame, fresh, joined, opened, resume_frame, sent

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


# Coming back


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


def test_a_record_survives_its_encoding() -> None:
    record = joined(jti="t").record
    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record


# Time


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


def test_turn_credentials_are_due_at_half_of_their_life() -> None:
    session = joined()
    session.minted(100.0, 600)
    assert session.tick(399.0, 0) == []
    assert session.tick(400.0, 0) == [do.Turn(None)]
    assert session.tick(401.0, 0) == []
