"""One client's connection: checks its frames, keeps its promises, and says what is to be done.

Sans-I/O: frames and the time go in, effects come out; the hub reports how they went by the methods under
"Results". A request with an id gets one reply; repeated, it gets that reply and nothing is done twice.
"""

from __future__ import annotations

import hashlib
import hmac
import re as regex
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from callcluster_common.bus import Person
from callcluster_common.messages import client, server
from callcluster_common.messages.types import (
    ERRORS,
    MAX_FRAME_BYTES,
    MAX_FRAME_BYTES_BEFORE_HELLO,
    SUBPROTOCOL,
    CloseCode,
    Grants,
    Limits,
    Member,
)

from callcluster_signaling import answers, members
from callcluster_signaling import effects as do
from callcluster_signaling.allowance import Allowance, Rates
from callcluster_signaling.answers import encode
from callcluster_signaling.metrics import Counts
from callcluster_signaling.reading import UnreadableError, read, request_id
from callcluster_signaling.record import Record
from callcluster_signaling.replies import APPLIED, Known, Replies
from callcluster_signaling.roster_line import Change, RosterLine
from callcluster_signaling.tokens import Identity, TokenError, guest, opaque, verify

HELLO_SECONDS = 3.0
OPENING_SECONDS = 15.0
RETRY_AFTER_SECONDS = 1.0
RESUME_TOKEN = regex.compile(r"([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]{43})")

Effects = list[do.Effect]


class Phase(Enum):
    """How far a connection has come."""

    NEW = auto()
    OPEN = auto()
    JOINED = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for every connection of this process."""

    jwt_secret: str
    guest_access: bool
    resume_window_seconds: int
    rates: Rates = field(default_factory=Rates)
    allowances_per_subject: int = 4
    allowances_per_guest_address: int = 32


class Session:
    """The state of one connection."""

    __slots__ = (
        "_born",
        "_counts",
        "_offered",
        "_policy",
        "_replies",
        "_resuming",
        "_served",
        "allowance",
        "attempt",
        "cid",
        "identity",
        "phase",
        "resume_token",
        "room",
        "roster_line",
        "sid",
        "turn_due",
    )

    def __init__(self, policy: Policy, now: float, counts: Counts, offered: str | None = None) -> None:
        """Begin a connection; ``offered`` is a token that came as a subprotocol."""
        self._policy = policy
        self._counts = counts
        self._offered = offered
        self._born = now
        self._resuming = now
        self._served = 0.0
        """Seconds that failed resumes took here: the client could say nothing meanwhile."""
        self.allowance = Allowance(policy.rates, now)
        self._replies = Replies()
        self.phase = Phase.NEW
        self.sid = ""
        self.resume_token = ""
        self.cid = ""
        self.attempt = 0
        self.identity = Identity("", "", Grants())
        self.room = ""
        self.roster_line: RosterLine | None = None
        self.turn_due: float | None = None
        """When to push TURN credentials."""

    # Input

    def welcome(self) -> bytes:
        """The first frame."""
        data = server.WelcomeData(
            versions=[SUBPROTOCOL],
            limits=Limits(
                messages_per_second=self._policy.rates.messages_per_second,
                bytes_per_second=self._policy.rates.bytes_per_second,
            ),
            guest=self._policy.guest_access,
        )
        return encode(server.Welcome(d=data))

    def receive(self, raw: str | bytes, now: float) -> Effects:
        """A frame came in."""
        if self.phase is Phase.CLOSED:
            return []
        if isinstance(raw, bytes):
            return self.close(CloseCode.PROTOCOL_ERROR, "text frames only")
        size = len(raw) if raw.isascii() else len(raw.encode(errors="surrogatepass"))
        self._counts.received_bytes += size
        wait = self.allowance.frame(size, now)
        if size > (MAX_FRAME_BYTES_BEFORE_HELLO if self.phase is Phase.NEW else MAX_FRAME_BYTES):
            if self.phase is Phase.NEW:
                return self.close(CloseCode.PROTOCOL_ERROR, "the first frame is too large")
            return self._strike(now, request_id(raw), "too_large")
        if wait:
            return self._strike(now, request_id(raw), "rate_limited", retry_after=wait)
        try:
            frame = read(raw)
        except UnreadableError as error:
            return self._strike(now, error.request, error.code, str(error))
        self._counts.received[_TAGS[type(frame)]] += 1
        if frame.id is not None:
            known = self._replies.begin(frame.id, now)
            if known is Known.PENDING:
                return []
            if isinstance(known, bytes):
                return self._repeat(frame, known)
        if self.phase is Phase.NEW and not isinstance(frame, client.Hello | client.Resume | client.Ping):
            return self.fail(frame.id, "not_authenticated")
        handler = _HANDLERS.get(type(frame))
        if handler is not None:
            return handler(self, frame, now)
        if self.phase is not Phase.JOINED:
            return self.fail(frame.id, "not_joined")
        return members.HANDLERS[type(frame)](self, frame, now)

    def tick(self, now: float, wall: float) -> Effects:
        """Time passed."""
        if self.phase is Phase.NEW:
            age = now - self._born
            if age > OPENING_SECONDS:
                return self.close(CloseCode.INTERNAL, "the session could not be opened")
            # With a sid it did its part: the bus keeps it waiting.
            if not self.sid and age - self._served > HELLO_SECONDS:
                return self.close(CloseCode.PROTOCOL_ERROR, "hello did not come in time")
        elif self.phase is not Phase.CLOSED:
            if self.identity.expired(wall):
                return self.close(CloseCode.TOKEN_EXPIRED, "the token has expired")
            if self.turn_due is not None and now >= self.turn_due:
                self.turn_due = None
                return [do.Turn(None)]
        return []

    def close(self, code: CloseCode, reason: str) -> Effects:
        """Stop listening and close the socket."""
        if self.phase is Phase.CLOSED:
            return []
        self.phase = Phase.CLOSED
        return [do.Close(code, reason)]

    # Results

    def succeed(self, re: str | None, reply: bytes | None = None) -> Effects:
        """A request went through; without ``reply`` it is answered by ``ok``."""
        if re is None:
            return [] if reply is None else [do.Send(reply)]
        self._replies.settle(re, APPLIED)
        return [do.Send(answers.ok(re) if reply is None else reply)]

    def fail(
        self,
        re: str | None,
        code: str,
        message: str = "",
        retry_after: float | None = None,
        following: server.Next | None = None,
    ) -> Effects:
        """A request failed."""
        frame = answers.error(re, code, message, retry_after, following)
        if re is not None:
            if ERRORS[code].retryable:
                self._replies.forget(re)
            else:
                self._replies.settle(re, frame)
        return [do.Send(frame, code)]

    def postpone(self, re: str | None) -> Effects:
        """A request found no bus, and may be repeated."""
        return self.fail(re, "unavailable", retry_after=RETRY_AFTER_SECONDS)

    def opened(self, re: str | None) -> Effects:
        """The session is recorded."""
        self.phase = Phase.OPEN
        self._offered = None
        data = server.HelloOkData(
            sid=self.sid,
            resume_token=self.resume_token,
            resume_window_ms=self._policy.resume_window_seconds * 1000,
            exp=self.identity.exp,
        )
        return self.succeed(re, encode(server.HelloOk(re=re, d=data)))

    def not_resumed(self, re: str | None, following: server.Next, now: float) -> Effects:
        """The session is gone: what is left of the time for ``hello`` runs on."""
        self.sid = self.resume_token = ""
        self._served += now - self._resuming
        return self.fail(re, "resume_failed", following=following)

    def carry_on(self, allowance: Allowance, now: float) -> None:
        """A session was taken up that had this much left: a new socket gives it no fresh burst."""
        allowance.absorb(self.allowance, now)
        self.allowance = allowance

    def resumed(self, re: str | None, record: Record, now: float, requests: list[str]) -> None:
        """A session was taken up; ``requests`` of it need not be acted on again."""
        self.identity = record.identity
        self.room = record.room
        self.phase = Phase.JOINED if record.room else Phase.OPEN
        self._replies.seed([request for request in requests if request != re], now)

    def joined(self, room: str, member: Member) -> None:
        """The member is in the room."""
        self.phase = Phase.JOINED
        self.room = room
        self.roster_line = RosterLine(member)

    def left(self) -> None:
        """The member is out of the room."""
        self.phase = Phase.OPEN
        self.room = ""
        self.roster_line = None
        self.turn_due = None

    def changed(self, change: Change | None, accepted: bool) -> None:
        """The bus took a change of the roster line, or did not."""
        if change is not None and self.roster_line is not None:
            self.roster_line.settle(change, accepted)

    def minted(self, now: float, ttl: int) -> None:
        """TURN credentials were sent: fresh ones are due at half of their life."""
        self.turn_due = now + ttl / 2 if ttl else None

    def limited(self, re: str | None, wait: float, now: float) -> Effects:
        """A request came too soon; it may be repeated in ``wait`` seconds."""
        if re is not None:
            self._replies.forget(re)
        return self._strike(now, re, "rate_limited", retry_after=wait)

    @property
    def record(self) -> Record:
        """What another pod needs to take this session up."""
        return Record(self.identity, self.cid, self.secret, self.room)

    @property
    def secret(self) -> str:
        """Hash of the resume token: the bus keeps no token."""
        return hashlib.sha256(self.resume_token.encode()).hexdigest()

    @property
    def person(self) -> Person:
        """Hashed ids for the room's ledger."""
        return Person(self.identity.user, opaque("cid", self.cid), self.identity.jti)

    # Handlers

    def _repeat(self, frame: client.Frame, reply: bytes) -> Effects:
        if reply is not APPLIED and reply:
            return [do.Send(reply)]
        if isinstance(frame, client.Join) and frame.d.room == self.room:
            return [do.Rejoin(frame.id)]
        if isinstance(frame, client.TurnRefresh):
            return [do.Turn(frame.id)]
        if isinstance(frame, client.Hello):
            return self.opened(frame.id) if self.phase is Phase.OPEN else []
        if isinstance(frame, client.Ping):
            return self._ping(frame, 0.0)
        assert frame.id is not None
        return [do.Send(answers.ok(frame.id))]

    def _strike(
        self, now: float, re: str | None, code: str, message: str = "", retry_after: float | None = None
    ) -> Effects:
        if self.allowance.strike(now):
            if code == "rate_limited":
                return self.close(CloseCode.RATE_LIMITED, "too many messages or bytes")
            return self.close(CloseCode.PROTOCOL_ERROR, "too many frames that can't be used")
        return [do.Send(answers.error(re, code, message, retry_after), code)]

    def _hello(self, frame: client.Hello, now: float) -> Effects:
        if self.phase is not Phase.NEW:
            return self.fail(frame.id, "malformed", "this connection has a session already")
        token = frame.d.token or self._offered
        if token is not None:
            try:
                self.identity = verify(token, self._policy.jwt_secret)
            except TokenError as error:
                code = CloseCode.TOKEN_EXPIRED if error.expired else CloseCode.BAD_TOKEN
                return self.close(code, str(error)[:120])
        elif self._policy.guest_access:
            self.identity = guest(frame.d.cid)
        else:
            return self.close(CloseCode.BAD_TOKEN, "a token is required here")
        self.sid = secrets.token_urlsafe(12)
        self.resume_token = f"{self.sid}.{secrets.token_urlsafe(32)}"
        self.cid, self.attempt = frame.d.cid, frame.d.attempt
        return [do.Open(frame.id)]

    def _resume(self, frame: client.Resume, now: float) -> Effects:
        if self.phase is not Phase.NEW:
            return self.fail(frame.id, "malformed", "this connection has a session already")
        match = RESUME_TOKEN.fullmatch(frame.d.resume_token)
        if match is None:
            return self.fail(frame.id, "resume_failed", following="rejoin")
        self._resuming = now
        self.sid, self.resume_token = match[1], frame.d.resume_token
        self.cid, self.attempt = frame.d.cid, frame.d.attempt
        return [do.Resume(frame.id, self.sid, self.secret, frame.d.epoch, frame.d.off)]

    def _join(self, frame: client.Join, now: float) -> Effects:
        if self.phase is Phase.JOINED:
            return self.fail(frame.id, "already_joined")
        if not self.identity.may_enter(frame.d.room):
            return self.fail(frame.id, "forbidden", "the token is for another room")
        if wait := self.allowance.join(now):
            return self.limited(frame.id, wait, now)
        return [do.Join(frame.id, frame.d.room, frame.d.bundle, frame.d.meta)]

    def _leave(self, frame: client.Leave, now: float) -> Effects:
        if self.phase is not Phase.JOINED:
            return self.fail(frame.id, "not_joined")
        return [do.Leave(frame.id, False)]

    def _bye(self, frame: client.Bye, now: float) -> Effects:
        return [do.Leave(frame.id, True)]

    def _turn(self, frame: client.TurnRefresh, now: float) -> Effects:
        return [do.Turn(frame.id)]

    def _token(self, frame: client.TokenRefresh, now: float) -> Effects:
        try:
            identity = verify(frame.d.token, self._policy.jwt_secret)
        except TokenError as error:
            return self.fail(frame.id, "forbidden", str(error), following="new_token")
        if not hmac.compare_digest(identity.user, self.identity.user):
            return self.fail(frame.id, "forbidden", "the token is for somebody else")
        if self.room and not identity.may_enter(self.room):
            return self.fail(frame.id, "forbidden", "the token is for another room")
        self.identity = identity
        return [do.Save(frame.id)]

    def _ping(self, frame: client.Ping, now: float) -> Effects:
        return self.succeed(frame.id, encode(server.Pong(re=frame.id, d=frame.d)))


_HANDLERS: dict[type[client.Frame], Callable[..., Effects]] = {
    # What needs no room; the rest is in members.HANDLERS.
    client.Hello: Session._hello,
    client.Resume: Session._resume,
    client.Join: Session._join,
    client.Leave: Session._leave,
    client.Bye: Session._bye,
    client.TurnRefresh: Session._turn,
    client.TokenRefresh: Session._token,
    client.Ping: Session._ping,
}
_TAGS = {kind: str(kind.__struct_config__.tag) for kind in (*_HANDLERS, *members.HANDLERS)}
