"""The pod's connections: runs each socket's session and does what it wants."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from callcluster_common.bus import EPOCH_LOST, NO_BUS, Head, UnavailableError, make_line, published_by
from callcluster_common.bus.posts import FromSfu, Parcels, Replaced, ToSfu, pack, unpack
from callcluster_common.messages import server
from callcluster_common.messages.types import CloseCode
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from callcluster_signaling import effects as do
from callcluster_signaling.answers import encode
from callcluster_signaling.entrance import Entrance
from callcluster_signaling.links import Link
from callcluster_signaling.pod import Pod
from callcluster_signaling.room import Evict, Room
from callcluster_signaling.rooms import close_code
from callcluster_signaling.session import Effects, Phase, Session

log = logging.getLogger(__name__)

PING_AFTER_SECONDS = 25.0
PONG_WITHIN_SECONDS = 20.0
"""One timer for all sockets: a keepalive task for each costs several kilobytes."""
NO_SFU_SECONDS = 2.0
"""When a client may ask again for an SFU that is not there."""


class Hub:
    """Serves connections; the bus calls it, too."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self._entrance = Entrance(pod)
        pod.evict = self.evict
        pod.perform = self.perform
        pod.record = self._entrance.record
        self._waiting: set[Link] = set()
        self._does: dict[type[do.Effect], Callable[[Link, Any], Awaitable[None] | None]] = {
            do.Send: self._send,
            do.Publish: self._publish,
            do.Seal: self._seal,
            do.TellSfu: self._tell_sfu,
            do.Close: self._close,
            do.Open: self._entrance.open,
            do.Resume: self._entrance.resume,
            do.Join: self._entrance.join,
            do.Rejoin: self._entrance.rejoin,
            do.Leave: self._entrance.leave,
            do.Save: self._entrance.save,
            do.Kick: self._kick,
            do.Mute: self._mute,
            do.End: self._end,
            do.Turn: self._turn,
        }

    # Connections

    async def serve(self, ws: ServerConnection, offered: str | None, settled: Callable[[], None]) -> None:
        """Run one connection to its end.

        Args:
            ws: the socket.
            offered: token that came as a subprotocol.
            settled: called once, when the client said hello or went away.
        """
        pod = self.pod
        session = Session(pod.policy, pod.now(), pod.counts, offered)
        link = Link(ws, session, pod.now(), pod.writer)
        pod.open_links.add(link)
        self._waiting.add(link)
        waiting = True
        link.send(session.welcome())
        try:
            while session.phase is not Phase.CLOSED:
                raw = await ws.recv()
                link.heard = now = pod.now()
                for effect in session.receive(raw, now):
                    doing = self._does[type(effect)](link, effect)
                    if doing is not None:
                        link.busy = True
                        try:
                            await doing
                        finally:
                            link.busy = False
                if waiting and session.phase is not Phase.NEW:
                    waiting = False
                    self._waiting.discard(link)
                    settled()
                if link.ending is not None:
                    self.perform(link, link.ending)
            await ws.wait_closed()
        except ConnectionClosed:
            pass
        except Exception:
            log.exception("a connection failed", extra={"fields": {"sid": session.sid}})
            await link.close(CloseCode.INTERNAL, "the server failed")
        finally:
            if waiting:
                self._waiting.discard(link)
                settled()
            pod.open_links.discard(link)
            pod.writer.slow.discard(link)
            pod.counts.close(link.close_code)
            await self._entrance.gone(link)

    def perform(self, link: Link, effects: Effects) -> None:
        """Carry out effects outside of a connection's own loop."""
        for effect in effects:
            doing = self._does[type(effect)](link, effect)
            if doing is not None:
                self.pod.spawn(_finish(doing))

    def tick(self, now: float, wall: float) -> None:
        """Time passed: deadlines, expiry, pushes, peers that are gone."""
        while self.pod.writer.slow:
            link = self.pod.writer.slow.pop()
            self.perform(link, link.session.close(CloseCode.SLOW, "too much left unread"))
        for link in list(self.pod.open_links):
            effects = link.session.tick(now, wall)
            if effects:
                self.perform(link, effects)
            self._check_alive(link, now)

    def _check_alive(self, link: Link, now: float) -> None:
        """Ping a peer that was silent for long; give up on one that does not answer."""
        silent = now - link.heard
        if link.pong is not None and link.pong.done():
            link.pong, link.pinged, link.heard = None, False, now
        elif silent > PING_AFTER_SECONDS + PONG_WITHIN_SECONDS:
            link.ws.transport.abort()
        elif silent > PING_AFTER_SECONDS and not link.pinged:
            link.pinged = True
            self.pod.spawn(link.ping())

    # Effects

    def _send(self, link: Link, effect: do.Send) -> None:
        if effect.error:
            self.pod.counts.errors[effect.error] += 1
        link.send(effect.data)

    async def _close(self, link: Link, effect: do.Close) -> None:
        await link.close(effect.code, effect.reason)

    def _publish(self, link: Link, effect: do.Publish, again: str = "") -> None:
        """Publish; ``again`` is the uid of a first try that the loss of an epoch undid."""
        room = link.room
        if room is None:
            self.perform(link, link.session.fail(effect.re, "not_joined"))
            return
        concerned = effect.to if effect.block is None else effect.block.sid
        if concerned and concerned not in room.members:
            self.perform(link, link.session.fail(effect.re, "no_such_member"))
            return
        uid = again or self.pod.uid()
        head = Head(uid, link.session.sid, effect.to, effect.re or "")
        change = b""
        if effect.change is not None and link.session.roster_line is not None:
            change = b"M" + encode(link.session.roster_line.publish(effect.change))
        elif effect.locked is not None:
            change = b"L1" if effect.locked else b"L0"
        elif (block := effect.block) is not None:
            change = f"B{block.blocked:d}{block.media} {block.sid}".encode()
        line = make_line(head, encode(effect.frame))
        room.trust(line, head, effect.frame)
        done = partial(self._published, link, effect, room, line, head, bool(again))
        self.pod.bus.publish(room.keys, room.epoch, link.claim, head, line, change, done)

    def _published(
        self, link: Link, effect: do.Publish, room: Room, line: bytes, head: Head, last: bool, off: int
    ) -> None:
        if off > 0:
            link.session.changed(effect.change, accepted=True)
            if effect.re is not None:
                self.perform(link, link.session.succeed(effect.re))
            if off > room.off:
                if off > room.told:
                    room.told = off
                self.pod.rooms.expect(room)
            return
        if off == NO_BUS and room.given_to_all(head.uid, effect.to):
            room.distrust(line, head.uid)
            link.session.changed(effect.change, accepted=True)
            self.perform(link, link.session.succeed(effect.re))
            return
        if off == EPOCH_LOST and not last and link.room is room:
            self.pod.rooms.mend(room, partial(self._publish, link, effect, head.uid))
            return
        room.distrust(line, head.uid)
        link.session.changed(effect.change, accepted=False)
        if off in (NO_BUS, EPOCH_LOST):
            self.perform(link, link.session.postpone(effect.re))
        else:
            self.pod.rooms.check(room)
            self.perform(link, link.session.fail(effect.re, "not_joined"))

    def _seal(self, link: Link, effect: do.Seal) -> None:
        room = link.room
        if room is None:
            self.perform(link, link.session.fail(effect.re, "not_joined"))
            return
        if effect.strict and effect.parcels[0][0] not in room.members:
            self.perform(link, link.session.fail(effect.re, "no_such_member"))
            return
        self._hand_out(room, effect.parcels)
        self.perform(link, link.session.succeed(effect.re))

    def _hand_out(self, room: Room, parcels: list[tuple[str, bytes]]) -> None:
        """Bring each frame to its member: here, or by the pod that has the socket."""
        away: dict[str, list[tuple[str, str]]] = {}
        for sid, frame in parcels:
            claim = room.claims.get(sid)
            if claim is None:
                continue
            pod = published_by(claim)
            if pod == self.pod.id:
                self._drop_off(room, sid, frame)
            else:
                away.setdefault(pod, []).append((sid, frame.decode()))
        for pod, mine in away.items():
            self.pod.bus.post(pod, pack(Parcels(room.keys.name, mine)))

    def _drop_off(self, room: Room, sid: str, frame: bytes, sfu: str | None = None) -> None:
        """Give a local member a frame of the ephemeral lane; ``sfu`` is the claim of its SFU, if any."""
        link = self.pod.links.get(sid)
        if link is not None and room.accepts(sid, frame, sfu) and link.room is room:
            self.pod.counts.sealed += 1
            link.send(frame)

    def _tell_sfu(self, link: Link, effect: do.TellSfu) -> None:
        room = link.room
        if room is None:
            self.perform(link, link.session.fail(effect.re, "not_joined"))
        elif not room.sfu:
            wait = NO_SFU_SECONDS
            self.perform(link, link.session.fail(effect.re, "no_sfu", retry_after=wait))
        elif not self.pod.bus.up:
            self.perform(link, link.session.postpone(effect.re))
        else:
            post = ToSfu(room.keys.name, room.sfu, link.session.sid, link.claim, effect.frame.decode())
            self.pod.bus.post(published_by(room.sfu), pack(post))
            self.perform(link, link.session.succeed(effect.re))

    async def _kick(self, link: Link, effect: do.Kick) -> None:
        room = link.room
        if room is None or effect.sid not in room.members:
            self.perform(link, link.session.fail(effect.re, "no_such_member"))
            return
        event = server.Event(d=server.EventData(kind="left", sid=effect.sid, reason="kicked"))
        line = make_line(Head(self.pod.uid(), link.session.sid, "", effect.re or ""), encode(event))
        try:
            removed = await self.pod.bus.remove(room.keys, effect.sid, "", line, effect.ban_ms)
        except UnavailableError:
            self.perform(link, link.session.postpone(effect.re))
            return
        self.perform(
            link,
            link.session.succeed(effect.re) if removed else link.session.fail(effect.re, "no_such_member"),
        )

    def _mute(self, link: Link, effect: do.Mute) -> None:
        room = link.room
        if room is None or effect.sid not in room.members:
            self.perform(link, link.session.fail(effect.re, "no_such_member"))
            return
        frame = server.MuteRequest(from_=link.session.sid, d=server.MuteRequestData(effect.kind))
        self._hand_out(room, [(effect.sid, encode(frame))])
        self.perform(link, link.session.succeed(effect.re))

    async def _end(self, link: Link, effect: do.End) -> None:
        room = link.room
        if room is None:
            self.perform(link, link.session.fail(effect.re, "not_joined"))
            return
        event = server.Event(d=server.EventData(kind="ended"))
        line = make_line(Head(self.pod.uid(), link.session.sid, "", effect.re or ""), encode(event))
        try:
            await self.pod.bus.end(room.keys, line)
        except UnavailableError:
            self.perform(link, link.session.postpone(effect.re))
            return
        self.perform(link, link.session.succeed(effect.re))

    def _turn(self, link: Link, effect: do.Turn) -> None:
        servers, ttl = self.pod.turn_for(link.session.sid)
        link.session.minted(self.pod.now(), ttl)
        if effect.re is None:
            self.pod.counts.turn_pushes += 1
        frame = encode(server.Turn(re=effect.re, d=server.TurnData(servers, ttl)))
        self.perform(link, link.session.succeed(effect.re, frame))

    # From the bus and the rooms

    def evict(self, link: Link, evicted: Evict) -> None:
        """A local member is out of its room: end its session, unless that goes on elsewhere."""
        self._entrance.unseat(link)
        if evicted.reason != "replaced":
            self.pod.spawn(self._entrance.forget(link))
        effects = link.session.close(*close_code(evicted.reason))
        if link.busy:
            # Its own request did this: the reply goes out first.
            link.ending = effects
        else:
            self.perform(link, effects)

    def on_entry(self, room: str, epoch: str, off: int, line: bytes) -> None:
        """See the bus's listener."""
        self.pod.rooms.on_entry(room, epoch, off, line)

    def on_stall(self, room: str, line: bytes) -> None:
        """See the bus's listener."""
        self.pod.rooms.on_stall(room, line)

    def on_post(self, data: bytes) -> None:
        """See the bus's listener."""
        try:
            post = unpack(data)
        except ValueError:
            log.warning("dropped a post that no pod sends")
            return
        if isinstance(post, Replaced):
            link = self.pod.links.get(post.sid)
            if link is not None and (link.claim if link.room is not None else "") == post.claim:
                self._entrance.unseat(link)
                self.perform(
                    link, link.session.close(CloseCode.REPLACED, "taken over by a newer connection")
                )
            return
        if isinstance(post, ToSfu):
            log.warning("dropped a post that is for an SFU")
            return
        room = self.pod.rooms.named(post.room)
        if room is not None:
            sfu = post.claim if isinstance(post, FromSfu) else None
            for sid, frame in post.parcels:
                self._drop_off(room, sid, frame.encode(), sfu)

    def on_wanted(self, room: str) -> None:
        """See the bus's listener: this pod calls, and does not listen."""

    def on_return(self, wiped: bool) -> None:
        """See the bus's listener."""
        self.pod.rooms.check_all()
        if wiped:
            self.pod.spawn(self._entrance.record(list(self.pod.links.values())))


async def _finish(doing: Awaitable[None]) -> None:
    await doing
