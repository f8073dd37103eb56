"""What a session wants done, and what it has to tell: plain data."""

from __future__ import annotations

from dataclasses import dataclass

from callcluster_common.messages.server import AnyServerFrame, ResumeOkData


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a WebSocket to ``url`` and call it ``socket``."""

    socket: int
    url: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send a text frame."""

    socket: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close a WebSocket."""

    socket: int


@dataclass(frozen=True, slots=True)
class Missed:
    """A socket did not take up the session; another one will be tried."""

    why: str
    asked: bool = False
    """Whether the server itself asked to come again later."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A fresh session: nothing of an earlier one is valid any more."""

    sid: str


@dataclass(frozen=True, slots=True)
class Down:
    """No socket carries the session now; it will try to resume."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session was taken up, ``seconds`` after its last socket went (0 if the old one still stood)."""

    data: ResumeOkData
    seconds: float


@dataclass(frozen=True, slots=True)
class Received:
    """A frame that answers no request."""

    frame: AnyServerFrame


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request; ``None`` where the session ended before there was one."""

    id: str
    frame: AnyServerFrame | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over: ``reason`` in a few words, ``code`` of the WebSocket if it had one."""

    reason: str
    code: int | None


Effect = Connect | Send | Close | Missed | Opened | Down | Resumed | Received | Reply | Ended
