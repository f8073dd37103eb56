"""The session's rules, driven by hand: what it sends on which socket, and what it tells."""

import random

import msgspec
import pytest
from callcluster_common.messages import server
from callcluster_common.messages.client import Msg, MsgData
from callcluster_common.messages.types import CloseCode, Grants, Limits, Snapshot
from callcluster_probe.signaling.effects import (
    Close,
    Connect,
    Down,
    Ended,
    Missed,
    Opened,
    Received,
    Reply,
    Resumed,
    Send,
)
from callcluster_probe.signaling.session import GREETING_S, HEALTHY_S, Session

SID = "session-01"
WELCOME = server.Welcome(d=server.WelcomeData(versions=["sig.v1"], limits=Limits(), guest=True))


class Driven:
    """A session with a server played by the test."""

    def __init__(self, urls=("ws://a",), token=None):
        self.session = Session(list(urls), token, random.Random(1))
        self.now = 0.0
        self.told = []
        self.sent = {}
        self.connects = []
        self.closes = []
        self._take(self.session.start(self.now))

    def _take(self, effects):
        for effect in effects:
            match effect:
                case Connect(socket, url):
                    self.connects.append((socket, url))
                case Send(socket, text):
                    self.sent.setdefault(socket, []).append(msgspec.json.decode(text))
                case Close(socket):
                    self.closes.append(socket)
                case _:
                    self.told.append(effect)

    @property
    def socket(self):
        return self.connects[-1][0]

    def last(self, socket=None):
        return self.sent[socket or self.socket][-1]

    def opened(self):
        self._take(self.session.opened(self.socket, self.now))

    def got(self, frame, socket=None):
        self._take(self.session.received(socket or self.socket, msgspec.json.encode(frame), self.now))

    def closed(self, code=None, socket=None, why="it is gone"):
        self._take(self.session.closed(socket or self.socket, code, why, self.now))

    def wait(self, seconds):
        """Let time pass in the steps that the session wants."""
        end = self.now + seconds
        while (at := self.session.next_deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            self._take(self.session.tick(self.now))
        self.now = end

    def next_socket(self):
        """Let time pass until the next socket is wanted."""
        known = len(self.connects)
        while len(self.connects) == known:
            self.wait(self.session.next_deadline() - self.now)

    def request(self, body="x"):
        id_, effects = self.session.request(Msg(to="room", d=MsgData(body)), self.now)
        self._take(effects)
        return id_

    def greet(self):
        self.opened()
        self.got(WELCOME)
        data = server.HelloOkData(SID, "token-1", 60_000)
        self.got(server.HelloOk(re=self.last()["id"], d=data))
        return self

    def join(self, off=0):
        data = server.JoinOkData("room", "epoch-1", off, Snapshot([]), Grants())
        id_ = self.request()
        self.got(server.JoinOk(re=id_, d=data))
        return self

    def resume_ok(self, recovered=True, **more):
        data = server.ResumeOkData(SID, recovered, 0, "token-2", **more)
        self.got(server.ResumeOk(re=self.last()["id"], d=data))

    def reconnect(self):
        self.next_socket()
        self.opened()
        self.got(WELCOME)
        return self.last()


def message(off=None, sender="other-001", body="hello"):
    return server.MsgRelay(off=off, from_=sender, d=MsgData(body))


@pytest.fixture
def driven():
    return Driven().greet().join()


def bodies(driven):
    return [told.frame.d.body for told in driven.told if isinstance(told, Received)]


def test_it_says_hello_when_it_is_welcomed():
    driven = Driven(token="secret")
    driven.opened()
    assert driven.sent == {}
    driven.got(WELCOME)
    hello = driven.last()
    assert hello["t"] == "hello"
    assert hello["d"]["token"] == "secret"
    driven.got(server.HelloOk(re=hello["id"], d=server.HelloOkData(SID, "token-1", 60_000)))
    assert driven.told == [Opened(SID)]


def test_without_a_token_it_does_not_even_ask_where_guests_are_not_welcome():
    driven = Driven()
    driven.got(server.Welcome(d=server.WelcomeData(versions=["sig.v1"], limits=Limits(), guest=False)))
    assert driven.told == [Ended("the server wants a token and none was given", None)]


def test_another_version_of_the_protocol_ends_it():
    driven = Driven()
    driven.got(server.Welcome(d=server.WelcomeData(versions=["sig.v9"], limits=Limits(), guest=True)))
    assert isinstance(driven.told[0], Ended)


def test_requests_wait_for_the_session():
    driven = Driven()
    id_ = driven.request("early")
    driven.greet()
    assert driven.last()["id"] == id_


def test_a_lost_socket_is_replaced_and_the_session_resumed(driven):
    driven.got(message(off=7))
    driven.closed(1006)
    assert driven.told[-1] == Down()
    resume = driven.reconnect()
    assert resume["t"] == "resume"
    assert resume["d"] | {"cid": ""} == {
        "resume_token": "token-1",
        "cid": "",
        "attempt": 1,
        "epoch": "epoch-1",
        "off": 7,
    }
    driven.resume_ok()
    assert isinstance(driven.told[-1], Resumed)
    assert driven.told[-1].seconds > 0


def test_what_was_not_answered_is_sent_again_in_its_order_with_its_ids(driven):
    first, second = driven.request("one"), driven.request("two")
    driven.got(server.Ok(re=first))
    third = driven.request("three")
    driven.closed(1006)
    driven.reconnect()
    driven.resume_ok()
    assert [frame["id"] for frame in driven.sent[driven.socket][1:]] == [second, third]


def test_an_answer_is_given_once(driven):
    id_ = driven.request()
    driven.got(server.Ok(re=id_))
    driven.got(server.Ok(re=id_))
    assert [told.id for told in driven.told if isinstance(told, Reply)].count(id_) == 1


def test_frames_that_were_seen_are_not_told_twice(driven):
    driven.got(message(off=3, body="three"))
    driven.closed(1006)
    driven.reconnect()
    driven.resume_ok()
    driven.got(message(off=3, body="three"))
    driven.got(message(off=4, body="four"))
    assert bodies(driven) == ["three", "four"]


def test_frames_missed_while_away_come_after_the_resume(driven):
    driven.got(message(off=3, body="three"))
    driven.closed(1006)
    driven.reconnect()
    driven.resume_ok(off=9, epoch="epoch-1")
    for off in (4, 9):
        driven.got(message(off=off, body=str(off)))
    assert bodies(driven) == ["three", "4", "9"]


def test_a_snapshot_sets_the_position(driven):
    driven.got(message(off=30))
    driven.closed(CloseCode.POSITION_LOST)
    driven.reconnect()
    driven.resume_ok(recovered=False, epoch="epoch-2", off=5, snapshot=Snapshot([]))
    driven.got(message(off=6, body="new epoch"))
    assert bodies(driven)[-1] == "new epoch"


def test_ephemeral_frames_have_no_position(driven):
    driven.got(message(off=3))
    driven.got(server.KeyAckRelay(from_="other-001", d=server.KeyIdData(1)))
    assert isinstance(driven.told[-1].frame, server.KeyAckRelay)


def test_a_drain_moves_the_session_before_the_old_socket_goes(driven):
    old = driven.socket
    driven.got(server.Goaway(d=server.GoawayData("drain", 5000, 300)))
    driven.wait(0.2)
    assert driven.socket == old
    driven.wait(0.2)
    assert driven.socket != old
    driven.opened()
    driven.got(WELCOME)
    driven.got(message(off=4, body="still on the old one"), socket=old)
    driven.resume_ok()
    driven.got(message(off=4, body="still on the old one"))
    assert bodies(driven) == ["still on the old one"]
    assert driven.closes == [old]
    assert [told.seconds for told in driven.told if isinstance(told, Resumed)] == [0]
    assert Down() not in driven.told
    driven.closed(CloseCode.REPLACED, socket=old)
    assert not driven.session.ended


def test_being_replaced_by_its_own_next_socket_ends_nothing(driven):
    driven.join()
    old = driven.socket
    driven.got(server.Goaway(d=server.GoawayData("drain", 5_000, 0)))
    driven.reconnect()
    driven.closed(CloseCode.REPLACED, socket=old)
    driven.resume_ok()
    assert isinstance(driven.told[-1], Resumed)
    assert driven.told[-1].seconds == 0
    driven.closed(CloseCode.REPLACED)
    assert driven.told[-1] == Ended("another socket took the session over", CloseCode.REPLACED)


def test_a_socket_that_replaced_the_last_one_and_came_to_nothing_leaves_a_gap(driven):
    driven.join()
    old = driven.socket
    driven.got(server.Goaway(d=server.GoawayData("drain", 5_000, 0)))
    driven.reconnect()
    driven.closed(CloseCode.REPLACED, socket=old)
    driven.closed()
    gone = driven.now
    assert driven.reconnect()["t"] == "resume"
    driven.resume_ok()
    assert [told.seconds for told in driven.told if isinstance(told, Resumed)] == [driven.now - gone]
    assert driven.now > gone


def test_the_servers_of_a_deployment_are_tried_in_turn():
    driven = Driven(urls=("ws://a", "ws://b"))
    for _ in range(3):
        driven.closed()
        driven.next_socket()
    assert [url for _, url in driven.connects] == ["ws://a", "ws://b", "ws://a", "ws://b"]


def test_waits_grow_with_jitter_up_to_fifteen_seconds():
    driven, waits = Driven(), []
    for _ in range(12):
        driven.closed()
        waits.append(driven.session.next_deadline() - driven.now)
        driven.next_socket()
    assert all(0 <= wait <= min(15, 0.5 * 2**n) for n, wait in enumerate(waits))
    assert max(waits) > 2
    assert len(set(waits)) == len(waits)


@pytest.mark.parametrize(("up", "most"), [(HEALTHY_S, 0.5), (HEALTHY_S - 1, 15)])
def test_only_a_healthy_time_resets_the_waits(up, most):
    driven = Driven()
    for _ in range(6):
        driven.closed()
        driven.next_socket()
    driven.greet()
    failures = driven.session._failures
    driven.now += up
    driven.closed(1006)
    assert (driven.session.next_deadline() - driven.now) <= most
    assert driven.session._failures == (1 if up >= HEALTHY_S else failures + 1)


def test_a_server_that_says_nothing_is_given_up():
    driven = Driven()
    driven.opened()
    driven.next_socket()
    assert driven.closes == [1]
    assert driven.now >= GREETING_S
    assert driven.told == [Missed("it did not take up the session in time")]


def test_each_socket_that_comes_to_nothing_is_told_with_its_reason():
    driven = Driven()
    driven.closed(why="connection refused")
    driven.next_socket()
    driven.opened()
    driven.got(WELCOME)
    busy = server.ErrorData("unavailable", "later", retryable=True, retry_after_ms=500)
    driven.got(server.Error(re=driven.last()["id"], d=busy))
    assert driven.told == [Missed("connection refused"), Missed("unavailable: later", asked=True)]


@pytest.mark.parametrize("code", [code for code in CloseCode if code >= 4500])
def test_final_close_codes_end_the_session(driven, code):
    pending = driven.request()
    driven.closed(code)
    assert Reply(pending, None) in driven.told
    assert isinstance(driven.told[-1], Ended)
    assert driven.told[-1].code == code
    assert driven.session.next_deadline() is None


@pytest.mark.parametrize(
    "code", [c for c in CloseCode if c < 4500 and c != CloseCode.REPLACED] + [1006, 1011]
)
def test_other_close_codes_lead_to_a_resume(driven, code):
    driven.closed(code)
    assert driven.reconnect()["t"] == "resume"


def test_a_lost_session_starts_anew_and_its_requests_fail(driven):
    pending = driven.request()
    driven.closed(1006)
    driven.reconnect()
    error = server.ErrorData("resume_failed", "gone", next="rejoin")
    driven.got(server.Error(re=driven.last()["id"], d=error))
    assert Reply(pending, None) in driven.told
    driven.opened()
    driven.got(WELCOME)
    assert driven.last()["t"] == "hello"


def test_a_lost_session_that_needs_a_new_token_ends(driven):
    driven.closed(1006)
    driven.reconnect()
    error = server.ErrorData("resume_failed", "expired", next="new_token")
    driven.got(server.Error(re=driven.last()["id"], d=error))
    assert driven.told[-1] == Ended("the token has expired", None)


def test_a_request_that_may_be_tried_again_is(driven):
    id_ = driven.request()
    error = server.ErrorData("unavailable", "later", retryable=True, retry_after_ms=500)
    driven.got(server.Error(re=id_, d=error))
    before = len(driven.sent[driven.socket])
    driven.wait(0.4)
    assert len(driven.sent[driven.socket]) == before
    driven.wait(0.2)
    assert driven.last()["id"] == id_


def test_a_request_that_failed_is_answered_with_the_error(driven):
    id_ = driven.request()
    driven.got(server.Error(re=id_, d=server.ErrorData("room_full", "no place")))
    assert driven.told[-1].id == id_
    assert driven.told[-1].frame.d.code == "room_full"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"t":"from the future","d":{}}', '{"t":"ev"}', "\x00"])
def test_what_it_does_not_understand_is_ignored(driven, text):
    assert driven.session.received(driven.socket, text, driven.now) == []


def test_frames_of_a_socket_that_is_gone_are_ignored(driven):
    old = driven.socket
    driven.closed(1006)
    driven.reconnect()
    driven.resume_ok()
    driven.got(message(off=50, body="ghost"), socket=old)
    assert bodies(driven) == []


def test_after_the_end_nothing_happens(driven):
    driven._take(driven.session.bye())
    assert driven.told[-1] == Ended("left", None)
    assert driven.session.tick(1e9) == []
    driven.got(message(off=9))
    driven.closed(1006)
    assert driven.told[-1] == Ended("left", None)


def test_a_request_after_the_end_fails_at_once(driven):
    driven._take(driven.session.bye())
    assert Reply(driven.request(), None) in driven.told
