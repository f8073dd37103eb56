"""A signaling session as a state machine: frames, socket events and time in, effects out.

It lives longer than its sockets: it reconnects with jitter, resumes on any server, drops what it has seen,
and sends again what was not answered. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass
from typing import Any

import msgspec
from callcluster_common.messages.client import ClientFrame, Hello, HelloData, Resume, ResumeData
from callcluster_common.messages.server import (
    AnyServerFrame,
    Error,
    Goaway,
    HelloOk,
    JoinOk,
    Pong,
    ResumeOk,
    SnapshotFrame,
    Welcome,
)
from callcluster_common.messages.types import SUBPROTOCOL, CloseCode

from callcluster_probe.signaling.effects import (
    Close,
    Connect,
    Down,
    Effect,
    Ended,
    Missed,
    Opened,
    Received,
    Reply,
    Resumed,
    Send,
)

BACKOFF_FIRST_S = 0.5
BACKOFF_MOST_S = 15.0
HEALTHY_S = 30.0
GREETING_S = 10.0
"""A socket that has not taken up the session within this time is given up."""

TERMINAL = {
    CloseCode.BAD_TOKEN: "the server refused the token",
    CloseCode.TOKEN_EXPIRED: "the token has expired",
    CloseCode.KICKED: "removed from the room",
    CloseCode.ROOM_ENDED: "the room was ended",
    CloseCode.PROTOCOL_ERROR: "the server saw a protocol error",
    CloseCode.UNSUPPORTED_VERSION: "the server does not speak this version of the protocol",
    CloseCode.DUPLICATE_IDENTITY: "the same identity is in the room already",
    CloseCode.BANNED: "banned from the room",
    CloseCode.REPLACED: "another socket took the session over",
}

_decoder: msgspec.json.Decoder[AnyServerFrame] = msgspec.json.Decoder(AnyServerFrame)


@dataclass(slots=True)
class _Pending:
    frame: ClientFrame
    retry_at: float | None = None


class Session:
    """One session of one member. ``urls`` are tried in turn; all reach the same deployment."""

    def __init__(self, urls: list[str], token: str | None = None, rng: random.Random | None = None) -> None:
        self.sid: str | None = None
        self.ended = False
        self._urls = urls
        self._token = token
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not secrets
        self._cid = secrets.token_urlsafe(12)
        self._resume_token: str | None = None
        self._epoch = ""
        self._off = 0
        self._attempt = -1
        self._sockets = 0
        self._failures = 0
        self._requests = 0
        self._pending: dict[str, _Pending] = {}
        self._active: int | None = None
        self._candidate: int | None = None
        self._greeting_id: str | None = None
        self._greet_by = 0.0
        self._connect_at: float | None = None
        self._active_since = 0.0
        self._down_since: float | None = None

    def start(self, now: float) -> list[Effect]:
        """Open the first socket."""
        return self._connect(now)

    def request(self, frame: ClientFrame, now: float) -> tuple[str, list[Effect]]:
        """Send ``frame`` with an id of its own, now or when a socket stands, until it is answered."""
        self._requests += 1
        frame.id = f"r{self._requests}"
        if self.ended:
            return frame.id, [Reply(frame.id, None)]
        self._pending[frame.id] = _Pending(frame)
        if self._active is None:
            return frame.id, []
        return frame.id, [self._send(self._active, frame)]

    def bye(self) -> list[Effect]:
        """End from this side; the caller has sent ``bye`` if it wanted to."""
        return self._end("left", None)

    def opened(self, socket: int, now: float) -> list[Effect]:
        """The socket stands; the server speaks first."""
        if socket == self._candidate:
            self._greet_by = now + GREETING_S
        return []

    def closed(self, socket: int, code: int | None, why: str, now: float) -> list[Effect]:
        """The socket is gone, or never came to be (``code`` is ``None``); ``why`` in a few words."""
        if self.ended or socket not in (self._active, self._candidate):
            return []
        if code == CloseCode.REPLACED and socket == self._active and self._candidate is not None:
            self._active = None  # by that one: its word that it took over is still on the way
            return []
        if code in TERMINAL:
            return self._end(TERMINAL[CloseCode(code)], code)
        if socket == self._candidate:
            self._candidate = None
            self._retry(now)
            return [Missed(why)]
        self._active = None
        if now - self._active_since >= HEALTHY_S:
            self._failures = 0
        self._down_since = now
        if self._candidate is None and self._connect_at is None:
            self._retry(now)
        return [Down()]

    def received(self, socket: int, text: str | bytes, now: float) -> list[Effect]:
        """A text frame came. One that this client does not know is ignored: the server may be newer."""
        if self.ended or socket not in (self._active, self._candidate):
            return []
        try:
            frame = _decoder.decode(text)
        except msgspec.MsgspecError:
            return []
        if socket == self._candidate and self._active != socket:
            return self._greeted(socket, frame, now)
        return self._frame(frame, now)

    def tick(self, now: float) -> list[Effect]:
        """Do what has become due."""
        if self.ended:
            return []
        effects: list[Effect] = []
        if self._connect_at is not None and now >= self._connect_at:
            self._connect_at = None
            effects += self._connect(now)
        if self._candidate is not None and now >= self._greet_by:
            effects += [Close(self._candidate), Missed("it did not take up the session in time")]
            self._candidate = None
            self._retry(now)
        if self._active is not None:
            for pending in self._pending.values():
                if pending.retry_at is not None and now >= pending.retry_at:
                    pending.retry_at = None
                    effects.append(self._send(self._active, pending.frame))
        return effects

    def next_deadline(self) -> float | None:
        """When ``tick`` should come."""
        if self.ended:
            return None
        times = [p.retry_at for p in self._pending.values() if p.retry_at is not None and self._active]
        if self._connect_at is not None:
            times.append(self._connect_at)
        if self._candidate is not None:
            times.append(self._greet_by)
        return min(times, default=None)

    def _connect(self, now: float) -> list[Effect]:
        url = self._urls[self._sockets % len(self._urls)]
        self._sockets += 1
        self._candidate = self._sockets
        self._greet_by = now + GREETING_S
        return [Connect(self._sockets, url)]

    def _retry(self, now: float, after: float | None = None) -> None:
        """Full jitter, unless the server said when."""
        if self.sid is not None and self._active is None and self._down_since is None:
            self._down_since = now  # the socket that replaced the last one came to nothing
        if after is None:
            most = min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2**self._failures)
            after = self._rng.uniform(0, most)
            self._failures = min(self._failures + 1, 16)
        self._connect_at = now + after

    def _greeted(self, socket: int, frame: AnyServerFrame, now: float) -> list[Effect]:
        """A frame on a socket that has not taken up the session yet."""
        match frame:
            case Welcome(d=welcome):
                if SUBPROTOCOL not in welcome.versions:
                    return self._end(TERMINAL[CloseCode.UNSUPPORTED_VERSION], None)
                if self._token is None and not welcome.guest:
                    return self._end("the server wants a token and none was given", None)
                return [self._greeting(socket)]
            case HelloOk(re=re, d=hello) if re == self._greeting_id:
                self.sid, self._resume_token = hello.sid, hello.resume_token
                self._epoch, self._off = "", 0
                self._taken_up(socket, now)
                return [Opened(hello.sid), *self._send_all()]
            case ResumeOk(re=re) if re == self._greeting_id:
                return self._resumed(socket, frame, now)
            case Error(re=re, d=error) if re == self._greeting_id:
                self._candidate = None
                if error.code == "resume_failed":
                    if error.next == "new_token":
                        return [Close(socket), *self._end(TERMINAL[CloseCode.TOKEN_EXPIRED], None)]
                    lost = self._drop_session()
                    return [Close(socket), *lost, *self._connect(now)]
                if not error.retryable:
                    return [Close(socket), *self._end(f"{error.code}: {error.message}", None)]
                self._retry(now, None if error.retry_after_ms is None else error.retry_after_ms / 1000)
                return [Close(socket), Missed(f"{error.code}: {error.message}", asked=True)]
            case _:
                return []

    def _greeting(self, socket: int) -> Send:
        self._attempt += 1
        self._requests += 1
        self._greeting_id = f"r{self._requests}"
        frame: Hello | Resume
        if self._resume_token is None:
            frame = Hello(id=self._greeting_id, d=HelloData(self._cid, self._attempt, self._token))
        else:
            data = ResumeData(self._resume_token, self._cid, self._attempt, self._epoch, self._off)
            frame = Resume(id=self._greeting_id, d=data)
        return self._send(socket, frame)

    def _resumed(self, socket: int, frame: ResumeOk, now: float) -> list[Effect]:
        data = frame.d
        self._resume_token = data.resume_token
        if data.snapshot is not None or not data.recovered:
            self._epoch, self._off = data.epoch, data.off
        old = self._active
        down, self._down_since = self._down_since, None
        self._taken_up(socket, now)
        effects: list[Effect] = [] if old is None else [Close(old)]
        seconds = 0.0 if down is None else now - down
        return [*effects, *self._send_all(), Resumed(data, seconds)]

    def _taken_up(self, socket: int, now: float) -> None:
        self._active, self._candidate = socket, None
        self._active_since = now
        self._connect_at = None

    def _frame(self, frame: AnyServerFrame, now: float) -> list[Effect]:
        if frame.off is not None and not isinstance(frame, JoinOk | SnapshotFrame):
            if frame.off <= self._off and frame.re is None:
                return []  # seen already, before the resume or on the other socket
            self._off = max(self._off, frame.off)
        match frame:
            case JoinOk(d=joined):
                self._epoch, self._off = joined.epoch, joined.off
            case SnapshotFrame(d=snapshot):
                self._epoch, self._off = snapshot.epoch, snapshot.off
            case Goaway(d=goaway):
                if self._candidate is None:
                    self._retry(now, goaway.reconnect_after_ms / 1000)
                return []
            case Error(re=re, d=error) if re in self._pending and error.retryable:
                after = 1000 if error.retry_after_ms is None else error.retry_after_ms
                self._pending[re].retry_at = now + after / 1000
                return []
            case Pong() if frame.re is None:
                return []
        if frame.re is None:
            return [Received(frame)]
        return [Reply(frame.re, frame)] if self._pending.pop(frame.re, None) else []

    def _send_all(self) -> list[Effect]:
        """What was never answered, in its order; the server knows ids that it has seen."""
        assert self._active is not None
        for pending in self._pending.values():
            pending.retry_at = None
        return [self._send(self._active, pending.frame) for pending in self._pending.values()]

    def _drop_session(self) -> list[Effect]:
        self.sid = self._resume_token = self._down_since = None
        lost = [Reply(id_, None) for id_ in self._pending]
        self._pending.clear()
        return [*lost]

    def _end(self, reason: str, code: int | None) -> list[Effect]:
        if self.ended:
            return []
        self.ended = True
        sockets = [s for s in (self._active, self._candidate) if s is not None]
        return [*self._drop_session(), *(Close(s) for s in sockets), Ended(reason, code)]

    @staticmethod
    def _send(socket: int, frame: Any) -> Send:
        return Send(socket, msgspec.json.encode(frame))
