"""The bus between pods: what it carries, and the port that both buses implement.

A room is a ledger: entries in one total order, numbered without gaps within an epoch. An entry travels as a
*line*: a small JSON head, a line feed, and the frame that clients get, complete but for its offset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import msgspec

from callcluster_common.redis_keys import RoomKeys

LEASE_MS = 30_000
"""How long a member outlives the pod that should renew its lease."""
RENEW_SECONDS = 10
SESSION_MS = 180_000
"""How long a session's record outlives its last touch: the resume window and some."""
TOUCH_SECONDS = 60
ROOM_MS = 300_000
"""How long an empty room is remembered, and with it its offset."""
SEAT_MS = 5_000
"""How long an SFU's seat in a room outlives the SFU; :meth:`Bus.keep_seats` is due every second."""
HISTORY_ENTRIES = 1_024
HISTORY_BYTES = 4 << 20
HISTORY_MS = 120_000
"""What a room's stream keeps for those who come back: the oldest entries go first."""


class Head(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How to route a line."""

    uid: str
    """``<pod>.<number>``, unique; the pod is the one that published."""
    sender: str = ""
    """Sid of the member that it comes from, empty for the server's own."""
    to: str = ""
    """Sid of the recipient, empty for the whole room."""
    request: str = ""
    """The sender's request id, remembered so that a repeated request is not published twice."""


class Person(NamedTuple):
    """Hashed ids of one member, for bans and for telling a returning page from a second one."""

    user: str
    cid: str
    jti: str


class Session(NamedTuple):
    """A session that was taken over."""

    record: bytes
    pod: str
    """The pod that had it."""


class Ticket(NamedTuple):
    """What a member brings when it joins."""

    sid: str
    claim: str
    person: Person
    member: bytes
    """Its roster line, JSON."""
    line: bytes
    """The entry to publish."""
    capacity: int
    moderator: bool
    epoch: str
    """Epoch to give the room if it does not exist yet."""
    uid: str
    """For entries that the bus has to publish of its own accord."""
    keep_ms: int
    """How long members are kept whose socket turns out to be gone."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One numbered line. Thousands are kept: the garbage collector need not look at them."""

    off: int
    line: bytes


class Occupant(NamedTuple):
    """One member in a state of the room."""

    sid: str
    member: bytes
    claim: str
    """Empty while it is reconnecting."""
    blocked: str = ""
    """What a moderator has blocked: ``audio``, ``video``, both with a blank between, or nothing."""


class RoomState(NamedTuple):
    """The whole room at one offset."""

    epoch: str
    off: int
    locked: bool
    occupants: list[Occupant]
    seat: str = ""
    """Claim of the SFU that serves the room; empty if none does."""


class Return(NamedTuple):
    """What a member finds when it comes back."""

    state: RoomState
    recovered: bool
    """Whether ``missed`` is all that it lacks; otherwise it needs the roster as well."""
    since: int
    """The offset that ``missed`` goes on from."""
    missed: list[Entry]
    """Without what was meant for others alone."""
    requests: list[str]
    """Ids of its requests that the history knows."""
    previous: str
    """The claim that it took over, empty if none was alive."""


class Renewal(NamedTuple):
    """Answer to a renewal of leases."""

    epoch: str
    """Empty where the room is unknown."""
    off: int
    lost: list[str]
    """Sids that are no longer this pod's."""


class History(NamedTuple):
    """Entries after an offset, or ``None`` where some of them are gone."""

    epoch: str
    off: int
    entries: list[Entry] | None


class RefusedError(Exception):
    """The room does not let the member in; ``code`` is an error code of the protocol."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class UnavailableError(Exception):
    """The bus is out of reach, did not answer in time, or refused, for example for lack of memory."""


NOT_OWNER = -1
"""The publishing socket does not speak for a member any more."""
EPOCH_LOST = -2
"""The room is not the one the publisher knows: its data was lost, or it ended."""
NO_BUS = -3
"""The entry could not be brought out in time."""

Done = Callable[[int], None]
"""Gets the offset of a published line, or one of the negative codes."""


class Listener(Protocol):
    """What a bus calls; every call returns at once."""

    def on_entry(self, room: str, epoch: str, off: int, line: bytes) -> None:
        """A line of a subscribed room; may repeat, skip or come early."""

    def on_stall(self, room: str, line: bytes) -> None:
        """A line of this pod has to wait: who is on this pod may have it now."""

    def on_post(self, data: bytes) -> None:
        """A message of the ephemeral lane to this pod."""

    def on_return(self, wiped: bool) -> None:
        """The bus is back after an outage, or has lost its data: check every room."""

    def on_wanted(self, room: str) -> None:
        """A room, by its opaque name, wants an SFU; only after :meth:`Bus.listen_for_wanted`."""


class Bus(Protocol):
    """Durable ledgers, session records and the ephemeral lane.

    All coroutines raise :class:`UnavailableError` when the bus is out of reach or refuses.
    """

    @property
    def up(self) -> bool:
        """Whether the bus answers and delivers."""

    @property
    def trouble(self) -> str | None:
        """What keeps this pod alone from serving; an outage that all pods share is no such thing."""

    @property
    def broken(self) -> bool:
        """Whether its own work has failed, so that only a new process helps."""

    @property
    def probe_seconds(self) -> float:
        """Latest time from publishing a probe to receiving it."""

    @property
    def queued(self) -> int:
        """Lines that wait to be brought out."""

    async def start(self, pod: str, listener: Listener) -> None:
        """Connect; with a bus that is away, return and go on trying."""

    async def stop(self) -> None:
        """Bring out what is queued, and disconnect."""

    async def put_session(self, sid: str, secret: str, record: bytes, attempt: int) -> None:
        """Keep what another pod needs to take up a session; ``secret`` is the hash of its resume token."""

    async def take_session(self, sid: str, secret: str, attempt: int) -> Session | None:
        """Take a session over, if the secret fits and no newer attempt has taken it.

        Raises:
            RefusedError: with code ``replaced`` when a newer attempt has.
        """

    async def drop_session(self, sid: str) -> None:
        """Forget a session."""

    def touch_sessions(self, sids: list[str]) -> None:
        """Keep the records of connected sessions for another while."""

    async def subscribe(self, room: RoomKeys) -> None:
        """From now on hand the room's lines to the listener."""

    def unsubscribe(self, room: RoomKeys) -> None:
        """Stop that."""

    async def join(self, room: RoomKeys, ticket: Ticket) -> RoomState:
        """Enter, and publish it.

        Raises:
            RefusedError: ``banned``, ``room_locked``, ``room_full`` or ``duplicate``.
        """

    async def attach(
        self, room: RoomKeys, sid: str, claim: str, attempt: int, line: bytes, epoch: str, off: int
    ) -> Return | None:
        """Take over a member's place for a new socket; ``None`` if it has none any more.

        Raises:
            RefusedError: with code ``replaced`` when a newer attempt has it.
        """

    def publish(
        self, room: RoomKeys, epoch: str, claim: str, head: Head, line: bytes, change: bytes, done: Done
    ) -> None:
        """Append a line, whose head is ``head``. Lines of one pod keep their order.

        ``change`` is applied with it: empty, ``M`` and a roster line, ``L0``/``L1`` for the lock, or
        ``B0``/``B1``, a kind of media, a blank and a sid for what is blocked of a member.
        """

    async def detach(self, room: RoomKeys, sid: str, claim: str, line: bytes, keep_ms: int) -> None:
        """The member's socket is gone: keep its place for ``keep_ms``, and publish that."""

    async def remove(self, room: RoomKeys, sid: str, claim: str, line: bytes, ban_ms: int) -> bool:
        """Take a member out and publish it; False if it was gone, or not the claim's (empty: anybody's)."""

    async def end(self, room: RoomKeys, line: bytes) -> bool:
        """Take everybody out and publish it; False if there is no such room."""

    async def renew(self, room: RoomKeys, claims: list[tuple[str, str]], uid: str, keep_ms: int) -> Renewal:
        """Renew the leases of this pod's members, and let go of those of the dead."""

    async def history(self, room: RoomKeys, after: int) -> History:
        """Entries after an offset."""

    async def state(self, room: RoomKeys) -> RoomState | None:
        """The whole room."""

    async def restore(
        self,
        room: RoomKeys,
        known: RoomState,
        people: dict[str, Person],
        kicked: Iterable[str],
        epoch: str,
        keep_ms: int,
    ) -> tuple[RoomState, list[Entry]]:
        """Rebuild a room that was lost, from what this pod knows; ``people`` are its own members.

        Rooms that another pod has rebuilt already get this pod's own members only; a call that began anew
        gets nobody. Who was banned, or is among the ``kicked`` of any pod, stays out. Returns the members
        of now at the offset at which the epoch began, and the entries since then; where those are not all
        kept any more, the offset of now.
        """

    def post(self, pod: str, data: bytes) -> None:
        """Send to one pod by the ephemeral lane: at most once, never stored."""

    # The seat: a room has one for an SFU, which is no member. Its lease runs out unless it is kept.

    async def take_seat(self, room: RoomKeys, claim: str, uid: str) -> RoomState | None:
        """Serve the room; ``None`` where another live claim does, or nobody is in it.

        Published as an event with ``claim``, unless the room was never told that this claim went.
        """

    async def keep_seats(self, seats: list[tuple[RoomKeys, str]]) -> list[str]:
        """Renew the leases of an SFU's claims; return the names of rooms that are no longer theirs.

        A lease that ran out is renewed as long as nobody has taken or cleared the seat.
        """

    async def leave_seat(self, room: RoomKeys, claim: str, uid: str) -> None:
        """Give the seat up if it is still the claim's, and publish that it is empty."""

    async def clear_seats(self, rooms: list[RoomKeys], uid: str) -> None:
        """Empty seats whose lease ran out, and publish that: once, however many pods ask."""

    def want(self, room: RoomKeys, own: str = "") -> None:
        """Call for an SFU: at most once heard, never stored, to be repeated while it is wanted.

        Any that listens hears it; with ``own`` only the room's own one, which listens for that name.
        """

    async def listen_for_wanted(self, own: str = "") -> None:
        """From now on hand such calls to the listener; after an error, as soon as the bus is back."""


_head = msgspec.json.Decoder(Head)
_encode = msgspec.json.Encoder().encode


def make_line(head: Head, frame: bytes) -> bytes:
    """Put a line together."""
    return _encode(head) + b"\n" + frame


def split_line(line: bytes) -> tuple[Head, bytes]:
    """Take a line apart.

    Raises:
        ValueError: it is not one.
    """
    head, separator, frame = line.partition(b"\n")
    if not separator:
        raise ValueError("a line has a head and a frame")
    try:
        return _head.decode(head), frame
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from None


def published_by(claim_or_uid: str) -> str:
    """The pod that made a claim or published an entry."""
    return claim_or_uid.partition(".")[0]
