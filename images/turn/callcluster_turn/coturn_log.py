"""What coturn's output means. Its lines name clients and peers, so they are counted and never passed on.

Only lines from before the listeners open, when nobody can have sent anything yet, may be shown: they speak
of the configuration. After that a client may write whole lines of its own: coturn prints a user name as it
came, line feeds included. So every reading here is bounded, and what is counted is no evidence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LISTENING = b"listener opened on"
FATAL = (b"Bad configuration format", b"Wrong address", b"CONFIG ERROR")
"""coturn goes on after these as if the line were not there: with an open peer policy, for example."""

_ERROR = re.compile(rb"message processed, error ([3-6]\d\d)\b")
_COUNT = rb"(\d{1,15})"
_USAGE = re.compile(
    rb": (peer )?usage: .*, rp=%b, rb=%b, sp=%b, sb=%b\s*$" % (_COUNT, _COUNT, _COUNT, _COUNT)
)

TROUBLE = (
    (b"cannot bind", "bind"),
    (b"too many open files", "files"),
    (b"sqlite", "database"),
    (b"certificate", "certificate"),
    (b"no available ports", "ports"),
    (b"denied in the range", "peer-denied"),
    (b"forbidden", "peer-denied"),
    (b"cannot find credentials", "credentials"),
)
"""Words by which a line that tells of trouble is known, and the name it is counted under."""


@dataclass(frozen=True)
class Fatal:
    """coturn does not accept its configuration."""

    line: str


@dataclass(frozen=True)
class Listening:
    """A listener is open: from now on lines may speak of clients."""


@dataclass(frozen=True)
class Note:
    """A line from before the listeners opened: it can't name a client."""

    line: str


@dataclass(frozen=True)
class Refused:
    """A request was answered with an error."""

    code: str


@dataclass(frozen=True)
class Allocated:
    """An allocation was made."""


@dataclass(frozen=True)
class Usage:
    """Traffic of one session since its last such line."""

    leg: str
    """``client`` or ``peer``."""
    received_packets: int
    received_bytes: int
    sent_packets: int
    sent_bytes: int


@dataclass(frozen=True)
class Trouble:
    """An error or warning of another kind, by a name from a fixed list."""

    kind: str


Event = Fatal | Listening | Note | Refused | Allocated | Usage | Trouble


class Reader:
    """Turns coturn's output into events, chunk by chunk."""

    MAX_LINE = 8192

    def __init__(self) -> None:
        self._rest = b""
        self._starting = True

    def feed(self, chunk: bytes) -> list[Event]:
        """Events of the lines that ``chunk`` completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        # A line without an end must not grow for ever; cut, it means nothing to us.
        if len(self._rest) > self.MAX_LINE:
            self._rest = b""
        return [event for line in lines if (event := self._read(line)) is not None]

    def _read(self, line: bytes) -> Event | None:
        if self._starting:
            if LISTENING in line:
                self._starting = False
                return Listening()
            text = line.decode(errors="replace").strip()
            return Fatal(text) if any(words in line for words in FATAL) else Note(text)
        if match := _ERROR.search(line):
            return Refused(match[1].decode())
        if b"ALLOCATE processed, success" in line:
            return Allocated()
        if match := _USAGE.search(line):
            leg = "peer" if match[1] else "client"
            return Usage(leg, *(int(number) for number in match.groups()[1:]))
        if b"ERROR" in line or b"WARNING" in line:
            lower = line.lower()
            return Trouble(next((name for words, name in TROUBLE if words in lower), "other"))
        return None
