"""How sessions begin, move between sockets, enter and leave rooms, and end."""

from __future__ import annotations

import logging

import msgspec
from callcluster_common.bus import (
    Head,
    RefusedError,
    Return,
    RoomState,
    Ticket,
    UnavailableError,
    make_line,
    published_by,
)
from callcluster_common.bus.posts import Replaced, pack
from callcluster_common.messages import server
from callcluster_common.messages.types import CloseCode, Member, Snapshot

from callcluster_signaling import effects as do
from callcluster_signaling.answers import encode
from callcluster_signaling.handshake import address_of
from callcluster_signaling.links import Link
from callcluster_signaling.pod import Pod
from callcluster_signaling.record import Record
from callcluster_signaling.room import Evict, Room, replay, roster
from callcluster_signaling.roster_line import RosterLine
from callcluster_signaling.session import Effects, Phase

log = logging.getLogger(__name__)

_record = msgspec.json.Decoder(Record)


def _read(data: bytes) -> Record | None:
    """A record from the bus, if a pod wrote it."""
    try:
        return _record.decode(data)
    except (msgspec.MsgspecError, RecursionError):
        log.warning("a session's record is none that a pod writes")
        return None


class Entrance:
    """The slow paths of a connection: everything that waits for the bus."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    # Sessions

    async def open(self, link: Link, effect: do.Open) -> None:
        """A new session: record it, then greet."""
        if not await self._keep(link):
            self._do(link, link.session.postpone(effect.re))
            return
        self._hold(link)
        self._do(link, link.session.opened(effect.re))

    async def save(self, link: Link, effect: do.Save) -> None:
        """The session's token changed."""
        if await self._keep(link):
            self._do(link, link.session.succeed(effect.re))
        else:
            self._do(link, link.session.postpone(effect.re))

    async def _keep(self, link: Link) -> bool:
        session = link.session
        try:
            await self._pod.bus.put_session(
                session.sid, session.secret, encode(session.record), session.attempt
            )
        except UnavailableError:
            return False
        return True

    async def record(self, links: list[Link]) -> None:
        """The bus lost its data: record sessions of this pod again."""
        for link in links:
            if not await self._keep(link):
                return

    async def resume(self, link: Link, effect: do.Resume) -> None:
        """Take up a session on this socket."""
        pod, session = self._pod, link.session
        try:
            taken = await pod.bus.take_session(effect.sid, effect.secret, session.attempt)
            record = None if taken is None else _read(taken.record)
            objection = self._objection(record, session.cid)
            if taken is None or record is None or objection:
                self._count_resume(objection)
                following: server.Next = "new_token" if objection == "expired" else "rejoin"
                self._do(link, session.not_resumed(effect.re, following, pod.now()))
                return
            if record.room:
                await self._resume_room(link, effect, record)
                return
        except RefusedError:
            self._count_resume("replaced")
            self._do(link, session.close(CloseCode.REPLACED, "taken over by a newer connection"))
            return
        except UnavailableError:
            self._count_resume("unavailable")
            self._do(link, session.postpone(effect.re))
            return
        session.resumed(effect.re, record, pod.now(), [])
        self._take_over(link)
        if taken.pod != pod.id:
            pod.bus.post(taken.pod, pack(Replaced(effect.sid, "")))
        self._count_resume("recovered")
        data = server.ResumeOkData(session.sid, True, 0, session.resume_token)
        self._do(link, session.succeed(effect.re, encode(server.ResumeOk(re=effect.re, d=data))))

    def _objection(self, record: Record | None, cid: str) -> str:
        """Why a session can't be taken up; empty if it can."""
        if record is None:
            return "unknown"
        if record.cid != cid:
            return "foreign"
        return "expired" if record.identity.expired(self._pod.wall()) else ""

    async def _resume_room(self, link: Link, effect: do.Resume, record: Record) -> None:
        pod, session = self._pod, link.session
        room = await pod.rooms.enter(record.room)
        claim = pod.uid()
        event = server.Event(d=server.EventData(kind="resumed", sid=effect.sid))
        line = make_line(Head(claim, effect.sid), encode(event))
        room.await_arrival()
        try:
            back = await pod.bus.attach(
                room.keys, effect.sid, claim, session.attempt, line, effect.epoch, effect.off
            )
        except BaseException:
            room.give_up()
            pod.rooms.release(room)
            raise
        if back is None:
            room.give_up()
            pod.rooms.release(room)
            self._count_resume("gone")
            await pod.bus.drop_session(effect.sid)
            self._do(link, session.not_resumed(effect.re, "rejoin", pod.now()))
            return
        session.resumed(effect.re, record, pod.now(), back.requests)
        self._take_over(link)
        if back.previous and (former := published_by(back.previous)) != pod.id:
            pod.bus.post(former, pack(Replaced(effect.sid, back.previous)))
        link.claim, link.room = claim, room
        frames = self._answer_return(link, effect, room, back)
        self._seat(link, room, back.state, frames)

    def _seat(self, link: Link, room: Room, state: RoomState, frames: list[bytes]) -> None:
        """Let the member have ``frames`` and whatever comes after ``state``."""
        sid = link.session.sid
        link.catch_up(frames + room.seat(sid, state))
        if sid not in room.members and room.off >= state.off:
            # Taken out again before it sat down.
            self._pod.evict(link, Evict(sid, "timeout"))

    def _answer_return(self, link: Link, effect: do.Resume, room: Room, back: Return) -> list[bytes]:
        pod, session, state = self._pod, link.session, back.state
        members = roster(state)
        session.roster_line = RosterLine(
            next((member for member in members if member.sid == session.sid), Member(session.sid))
        )
        missed = replay(back.missed, session.sid)
        self._count_resume("recovered" if back.recovered else "snapshot")
        servers, ttl = pod.turn_for(session.sid)
        session.minted(pod.now(), ttl)
        data = server.ResumeOkData(
            sid=session.sid,
            recovered=back.recovered,
            missed=len(missed),
            resume_token=session.resume_token,
            room=session.room,
            epoch=state.epoch,
            off=back.since,
            snapshot=None if back.recovered else Snapshot(members, state.locked, state.seat),
            ice_servers=servers,
            turn_ttl_s=ttl,
        )
        self._do(link, session.succeed(effect.re, encode(server.ResumeOk(re=effect.re, d=data))))
        return missed

    def _take_over(self, link: Link) -> None:
        """Close this pod's former socket of the session, if there is one, and go on with its allowance."""
        pod, session = self._pod, link.session
        former = pod.links.get(session.sid)
        if former is not None:
            self.unseat(former)
            self._do(former, former.session.close(CloseCode.REPLACED, "taken over by a newer connection"))
        allowance = pod.allowances.take(session.sid)
        if allowance is not None:
            session.carry_on(allowance, pod.now())
        self._hold(link)

    def _count_resume(self, result: str) -> None:
        self._pod.counts.resumes[result] += 1

    # Rooms

    async def join(self, link: Link, effect: do.Join) -> None:
        """Enter a room."""
        pod, session = self._pod, link.session
        if pod.closed(effect.room):
            pod.counts.joins["room_closed"] += 1
            self._do(link, session.fail(effect.re, "room_closed"))
            return
        member = Member(session.sid, effect.bundle, effect.meta)
        claim = pod.uid()
        event = server.Event(d=server.EventData(kind="joined", sid=session.sid, member=member))
        line = make_line(Head(claim, session.sid, "", effect.re or ""), encode(event))
        try:
            room = await pod.rooms.enter(effect.room)
        except UnavailableError:
            pod.counts.joins["unavailable"] += 1
            self._do(link, session.postpone(effect.re))
            return
        room.await_arrival()
        try:
            state = await self._admit(
                room,
                Ticket(
                    sid=session.sid,
                    claim=claim,
                    person=session.person,
                    member=encode(member),
                    line=line,
                    capacity=pod.capacity(effect.room),
                    moderator=session.identity.grants.mod,
                    epoch=claim,
                    uid=pod.uid(),
                    keep_ms=pod.keep_ms,
                ),
            )
        except (RefusedError, UnavailableError) as error:
            room.give_up()
            pod.rooms.release(room)
            self._refuse(link, effect.re, error.code if isinstance(error, RefusedError) else "unavailable")
            return
        link.claim, link.room = claim, room
        session.joined(effect.room, member)
        pod.counts.joins["ok"] += 1
        await self._keep(link)
        self._answer_join(
            link, effect.re, state.epoch, state.off, Snapshot(roster(state), state.locked, state.seat)
        )
        self._seat(link, room, state, [])

    async def _admit(self, room: Room, ticket: Ticket) -> RoomState:
        bus = self._pod.bus
        try:
            return await bus.join(room.keys, ticket)
        except RefusedError as error:
            if error.code not in ("room_full", "room_locked"):
                raise
        # A room whose members are all away has no pod that lets go of them in time.
        await bus.renew(room.keys, [], self._pod.uid(), self._pod.keep_ms)
        return await bus.join(room.keys, ticket)

    def _refuse(self, link: Link, re: str | None, code: str) -> None:
        pod, session = self._pod, link.session
        pod.counts.joins[code] += 1
        if code == "unavailable":
            self._do(link, session.postpone(re))
        elif code == "duplicate":
            self._do(
                link, session.close(CloseCode.DUPLICATE_IDENTITY, "another user has this connection id")
            )
        else:
            self._do(link, session.fail(re, code))
            if code == "banned":
                self._do(link, session.close(CloseCode.BANNED, "removed from this room"))

    async def rejoin(self, link: Link, effect: do.Rejoin) -> None:
        """Answer a repeated join from what this pod knows."""
        room = link.room
        if room is not None:
            self._answer_join(link, effect.re, room.epoch, room.off, room.snapshot())

    def _answer_join(self, link: Link, re: str | None, epoch: str, off: int, snapshot: Snapshot) -> None:
        pod, session = self._pod, link.session
        servers, ttl = pod.turn_for(session.sid)
        session.minted(pod.now(), ttl)
        data = server.JoinOkData(
            room=session.room,
            epoch=epoch,
            off=off,
            snapshot=snapshot,
            grants=session.identity.grants,
            ice_servers=servers,
            turn_ttl_s=ttl,
        )
        self._do(link, session.succeed(re, encode(server.JoinOk(re=re, d=data))))

    async def leave(self, link: Link, effect: do.Leave) -> None:
        """Leave the room; with ``bye`` end the session as well."""
        pod, session, room = self._pod, link.session, link.room
        if room is not None:
            position = room.positions.pop(session.sid, None)
            try:
                await pod.bus.remove(room.keys, session.sid, link.claim, self._left(link, effect.re), 0)
            except UnavailableError:
                if position is not None:
                    room.positions[session.sid] = position
                self._do(link, session.postpone(effect.re))
                return
            self.unseat(link)
            self._hold(link)
            session.left()
            if not effect.bye:
                await self._keep(link)
        self._do(link, session.succeed(effect.re))
        if effect.bye:
            await self.forget(link)
            session.phase = Phase.CLOSED
            await link.close(1000, "bye")

    def _left(self, link: Link, re: str | None) -> bytes:
        event = server.Event(d=server.EventData(kind="left", sid=link.session.sid, reason="left"))
        return make_line(Head(self._pod.uid(), link.session.sid, "", re or ""), encode(event))

    async def gone(self, link: Link) -> None:
        """The socket is closed: keep the member's place, unless the close was final."""
        pod, session, room = self._pod, link.session, link.room
        final = link.closed_for_good
        self.unseat(link)
        if not session.sid or room is None:
            return
        try:
            if final:
                await pod.bus.remove(room.keys, session.sid, link.claim, self._left(link, None), 0)
                await pod.bus.drop_session(session.sid)
            else:
                event = server.Event(d=server.EventData(kind="reconnecting", sid=session.sid))
                line = make_line(Head(pod.uid(), session.sid), encode(event))
                await pod.bus.detach(room.keys, session.sid, link.claim, line, pod.keep_ms)
        except UnavailableError:
            # The lease runs out instead.
            log.info("a socket closed while the bus was away")

    async def forget(self, link: Link) -> None:
        """End a session for good."""
        try:
            await self._pod.bus.drop_session(link.session.sid)
        except UnavailableError:
            log.info("a session ended while the bus was away")

    def _hold(self, link: Link) -> None:
        """The link has its session's socket; :meth:`unseat` is the end of that."""
        pod, session = self._pod, link.session
        pod.links[session.sid] = link
        pod.shares.enter(session.allowance, session.identity, address_of(link.ws), pod.now())

    def unseat(self, link: Link) -> None:
        """The link's member gets nothing more from here."""
        pod, session = self._pod, link.session
        if pod.links.get(session.sid) is link:
            del pod.links[session.sid]
            pod.shares.leave(session.allowance, pod.now())
            pod.allowances.keep(session.sid, session.allowance, pod.now())
        room, link.room = link.room, None
        if room is not None:
            room.positions.pop(session.sid, None)
            pod.rooms.release(room)

    # Answers

    def _do(self, link: Link, effects: Effects) -> None:
        self._pod.perform(link, effects)
