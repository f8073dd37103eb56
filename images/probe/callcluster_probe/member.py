"""A headless member: a session, its keys, and a link to each other member."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from callcluster_common.messages.client import (
    BundleRefresh,
    ClientFrame,
    IceData,
    Join,
    JoinData,
    Msg,
    MsgData,
    State,
)
from callcluster_common.messages.server import (
    AnswerRelay,
    AnyServerFrame,
    Event,
    EventData,
    IceRelay,
    JoinOk,
    JoinOkData,
    KeyAckRelay,
    KeyDeliver,
    KeyRequestRelay,
    MsgRelay,
    OfferRelay,
    RestartRelay,
    ResumeOkData,
    SnapshotFrame,
    Turn,
)
from callcluster_common.messages.types import Bundle, IceServer, MediaState
from callcluster_common.messages.types import Member as RosterMember

from callcluster_probe.e2ee.bundle import Identity
from callcluster_probe.e2ee.encode import CryptoError
from callcluster_probe.e2ee.frames import Source
from callcluster_probe.e2ee.keys import CallKeys
from callcluster_probe.e2ee.room_secret import RoomSecret
from callcluster_probe.link import Link
from callcluster_probe.listener import Listener
from callcluster_probe.signaling.client import SignalingClient, SignalingError
from callcluster_probe.signaling.effects import (
    Down,
    Effect,
    Ended,
    Missed,
    Opened,
    Received,
    Reply,
    Resumed,
)
from callcluster_probe.signaling.session import Session
from callcluster_probe.transport import IceSettings, TurnTransport
from callcluster_probe.webrtc import PeerLink


@dataclass(frozen=True, slots=True)
class MemberSettings:
    """Who joins what, and how."""

    urls: tuple[str, ...]
    """WebSocket addresses of one deployment; the first that answers is used."""
    room: str
    secret: bytes | None = None
    token: str | None = None
    name: str = ""
    sends: tuple[Source, ...] = ("mic", "cam")
    relay_only: bool = False
    turn_transport: TurnTransport | None = None


class Member:
    """One member of one call. Use ``join``, ``send``, ``close``."""

    def __init__(self, settings: MemberSettings, listener: Listener) -> None:
        self.settings = settings
        self.keys: CallKeys | None = None
        self.links: dict[str, Link] = {}
        self.ice = IceSettings((), settings.relay_only, settings.turn_transport)
        self.joined_at: float | None = None
        """Time of the event loop when ``join`` was sent; seconds."""
        self.last_error = "no answer"
        """Why the latest attempt to reach the server failed."""
        self._listener = listener
        self._secret = RoomSecret(settings.room, settings.secret) if settings.secret else None
        self._loop = asyncio.get_running_loop()
        self._epoch = time.time() - self._loop.time()
        self._client = SignalingClient(Session(list(settings.urls), settings.token), self._on_event)
        self._join_data = JoinData(settings.room)
        self._tries: int | None = None  # left before no server counts as reachable
        self._in_room: asyncio.Future[None] = self._loop.create_future()
        self._key_timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def sid(self) -> str:
        """This member's session id; empty before the session stands."""
        return self._client.session.sid or ""

    async def join(self, timeout: float, *, retry: bool) -> None:
        """Enter the room.

        Args:
            timeout: seconds.
            retry: go on trying where no server answers.

        Raises:
            SignalingError: no server can be reached, or the one that answers refuses.
        """
        self._tries = None if retry else len(self.settings.urls)
        self._client.start()
        try:
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the result.
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._in_room)
        except TimeoutError:
            raise SignalingError("unreachable", self.last_error) from None

    def send(self, source: Source, frame: bytes, timestamp: int) -> bool:
        """Seal an encoded frame once and send it to every member that is connected.

        Returns:
            Whether it went out: without a key or a connection a frame is dropped.
        """
        links = [link for link in self.links.values() if link.connected]
        if self.keys is None or not links:
            return False
        sealed = self.keys.seal(source, frame)
        if sealed is None:
            return False
        for link in links:
            link.send(source, sealed, timestamp)
        return True

    def want_key_frame(self, sid: str, source: Source) -> None:
        """Ask ``sid`` for a video key frame."""
        link = self.links.get(sid)
        if link and link.connection:
            link.connection.want_key_frame(source)

    def fail_if_broken(self) -> None:
        """Raise what ended the search for a route, which only a bug does."""
        for link in self.links.values():
            if link.connection:
                link.connection.fail_if_broken()

    async def send_message(self, message: object) -> None:
        """Send an application message to the room; returns when the server has taken it.

        Raises:
            SignalingError: the server refused it, or the session ended.
        """
        assert self._secret is not None, "a room without a secret has no messages"
        body = self._secret.seal_message(self.sid, message)
        await self._client.request(Msg(to="room", d=MsgData(body)))

    async def close(self) -> None:
        """Leave, and free everything."""
        if self._key_timer:
            self._key_timer.cancel()
        await self._client.close()
        await asyncio.gather(*(link.close() for link in self.links.values()))
        self.links.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_event(self, effect: Effect) -> None:
        now = self._loop.time()
        match effect:
            case Opened(sid):
                self._opened(sid, now)
            case Reply(frame=JoinOk(d=data)):
                self._entered(data, now)
            case Resumed(data, seconds):
                self._resumed(data, now)
                self._listener.resumed(seconds)
            case Received(frame):
                self._received(frame, now)
            case Missed(why, asked):
                self._missed(why, asked)
            case Down():
                self._listener.went_down()
            case Ended(reason):
                self._refused(SignalingError("ended", reason))
                self._listener.ended(reason)
            case _:
                pass
        self._settle(now)

    def _missed(self, why: str, asked: bool) -> None:
        self.last_error = why
        if self._tries is not None and not asked:
            self._tries -= 1
            if self._tries <= 0:
                self._refused(SignalingError("unreachable", why))

    def _opened(self, sid: str, now: float) -> None:
        """A fresh session: what belonged to an earlier one is worth nothing."""
        self.keys = CallKeys(Identity(), self.settings.room, sid, self._secret, self._epoch)
        meta = self._secret.seal_name(sid, self.settings.name) if self._secret else ""
        self._join_data = JoinData(self.settings.room, self.keys.bundle(now), meta)
        if self.joined_at is None:
            self.joined_at = now
        self._enter()

    def _enter(self) -> None:
        """Join with nothing left of an earlier stay, but with the session's one bundle."""
        for gone in list(self.links):
            self._unlink(gone)
        self._spawn(self._join(Join(d=self._join_data)))

    async def _join(self, frame: Join) -> None:
        try:
            await self._client.request(frame)
        except SignalingError as error:
            self._refused(error)

    async def _refresh(self, keys: CallKeys, frame: BundleRefresh) -> None:
        try:
            await self._client.request(frame)
        except SignalingError:
            return  # it comes again
        keys.bundle_taken(self._loop.time())
        self._join_data.bundle = frame.d.bundle

    def _refused(self, error: SignalingError) -> None:
        if not self._in_room.done():
            self._in_room.set_exception(error)
            self._in_room.exception()  # whoever joins raises it; without a joiner it is not a leak

    def _entered(self, data: JoinOkData, now: float) -> None:
        assert self.keys is not None
        others = [member for member in data.snapshot.members if member.sid != self.sid]
        self._turn(data.ice_servers)
        self.keys.enter(others, now)
        for member in others:
            self._link(member.sid, offers=True)
        sends = self.settings.sends
        self._post(State(d=MediaState("mic" in sends, "cam" in sends, "screen" in sends)))
        if self._in_room.done():
            self._listener.rejoined()
        else:
            self._in_room.set_result(None)

    def _resumed(self, data: ResumeOkData, now: float) -> None:
        if data.ice_servers:
            self._turn(data.ice_servers)
        if data.room is None and self.keys is not None:
            self.keys.resync([], now)
            self._enter()  # the session still stands, its place in the room was given up
        elif data.snapshot is not None:
            self._resync(data.snapshot.members, now)

    def _resync(self, members: list[RosterMember], now: float) -> None:
        if self.keys is None:
            return
        self.keys.resync(members, now)
        for sid in [sid for sid in self.links if sid not in self.keys.remotes]:
            self._unlink(sid)
        for sid in self.keys.remotes:
            if sid not in self.links:
                self._link(sid, offers=False)

    def _received(self, frame: AnyServerFrame, now: float) -> None:
        keys, sender = self.keys, frame.from_
        match frame:
            case Turn(d=turn):
                self._turn(turn.ice_servers)
                self._new_routes()
            case _ if keys is None:
                pass  # the rest concerns a room
            case Event(d=event):
                self._event(keys, event, now)
            case SnapshotFrame(d=snapshot):
                self._resync(snapshot.members, now)
            case _ if sender is None:
                pass
            case KeyDeliver(d=key):
                keys.deliver(sender, key.body, now)
            case KeyAckRelay(d=ack):
                keys.acked(sender, ack.kid)
            case KeyRequestRelay():
                keys.requested(sender, now)
            case MsgRelay(d=message):
                self._message(sender, message.body)
            case _ if sender not in self.links:
                pass
            case OfferRelay() | AnswerRelay() | IceRelay() | RestartRelay():
                self.links[sender].receive(frame)
            case _:
                pass

    def _event(self, keys: CallKeys, event: EventData, now: float) -> None:
        match event:
            case EventData(kind="joined", member=RosterMember(sid=sid) as member) if sid != self.sid:
                keys.joined(member, now)
                if sid not in self.links:
                    self._link(sid, offers=False)
            case EventData(kind="renewed", sid=str(sid), bundle=Bundle() as renewal):
                keys.renewed(sid, renewal, now)
            case EventData(kind="left", sid=str(sid)):
                keys.left(sid, event.reason, now)
                self._unlink(sid)
            case _:
                pass

    def _message(self, sender: str, body: str) -> None:
        if self._secret is None:
            return
        try:
            self._listener.message(sender, self._secret.open_message(sender, body))
        except CryptoError:
            pass  # not for this room, or forged: nothing to show

    def _turn(self, servers: list[IceServer]) -> None:
        self.ice = IceSettings(tuple(servers), self.settings.relay_only, self.settings.turn_transport)

    def _new_routes(self) -> None:
        """Fresh credentials came: a relay that holds the old ones will not be renewed for long."""
        for link in self.links.values():
            route = link.connection.route() if link.connection else None
            if route and route.relayed:
                link.start_anew()

    def _link(self, sid: str, offers: bool) -> None:
        def connect(on_state: Callable[[str], None], on_candidates: Callable[[IceData], None]) -> PeerLink:
            return PeerLink(
                self.ice,
                self.settings.sends,
                on_frame=lambda source, frame: self._frame(sid, source, frame),
                on_key_frame=self._listener.key_frame_wanted,
                on_state=on_state,
                on_candidates=on_candidates,
            )

        self.links[sid] = Link(sid, offers, connect, self._post)

    def _unlink(self, sid: str) -> None:
        link = self.links.pop(sid, None)
        if link:
            self._spawn(link.close())

    def _frame(self, sid: str, source: Source, sealed: bytes) -> None:
        if self.keys is None:
            return
        now = self._loop.time()
        plain = self.keys.open(sid, source, sealed, now)
        if plain is None:
            self._settle(now)
        else:
            self._listener.frame_opened(sid, source, plain)

    def _post(self, frame: ClientFrame) -> None:
        if not self._client.session.ended:
            self._client.post(frame)

    def _settle(self, now: float) -> None:
        """Send what the keys want sent, and come back when they want it."""
        if self.keys is None:
            return
        for frame in self.keys.drain():
            if isinstance(frame, BundleRefresh):
                self._spawn(self._refresh(self.keys, frame))
            else:
                self._post(frame)
        if self._key_timer:
            self._key_timer.cancel()
        self._key_timer = self._loop.call_at(self.keys.next_deadline(now), self._tick)

    def _tick(self) -> None:
        if self.keys:
            now = self._loop.time()
            self.keys.tick(now)
            self._settle(now)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
