"""What a member asks of its room: each kind of frame becomes the effect that brings it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from callcluster_common.messages import client, server
from callcluster_common.messages.types import ToMember

from callcluster_signaling import effects as do
from callcluster_signaling.answers import encode
from callcluster_signaling.roster_line import Change

if TYPE_CHECKING:
    from callcluster_signaling.session import Effects, Session


def _offer(session: Session, frame: client.Offer, now: float) -> Effects:
    if not frame.fits:
        return session.fail(frame.id, "malformed", "route, seq and wants go to the SFU, all of them")
    if isinstance(frame.to, ToMember):
        return [do.Publish(frame.id, frame.to.sid, server.OfferRelay(from_=session.sid, d=frame.d))]
    return [do.TellSfu(frame.id, encode(client.Offer(to=frame.to, d=frame.d)))]


def _answer(session: Session, frame: client.Answer, now: float) -> Effects:
    relay = server.AnswerRelay(from_=session.sid, d=server.AnswerData(frame.d.sdp))
    return [do.Publish(frame.id, frame.to.sid, relay)]


def _restart(session: Session, frame: client.Restart, now: float) -> Effects:
    return [do.Publish(frame.id, frame.to.sid, server.RestartRelay(from_=session.sid, d=frame.d))]


def _layout(session: Session, frame: client.Layout, now: float) -> Effects:
    return [do.TellSfu(frame.id, encode(client.Layout(d=frame.d)))]


def _ice(session: Session, frame: client.Ice, now: float) -> Effects:
    if wait := session.allowance.ice(now):
        return session.limited(frame.id, wait, now)
    return [do.Publish(frame.id, frame.to.sid, server.IceRelay(from_=session.sid, d=frame.d))]


def _msg(session: Session, frame: client.Msg, now: float) -> Effects:
    if not session.identity.grants.msg:
        return session.fail(frame.id, "forbidden")
    to = frame.to.sid if isinstance(frame.to, ToMember) else ""
    return [do.Publish(frame.id, to, server.MsgRelay(from_=session.sid, d=frame.d))]


def _state(session: Session, frame: client.State, now: float) -> Effects:
    pub = session.identity.grants.pub
    wanted = {"mic": frame.d.audio, "cam": frame.d.video, "screen": frame.d.screen}
    if any(on and source not in pub for source, on in wanted.items()):
        return session.fail(frame.id, "forbidden", "the token does not allow this source")
    event = server.Event(d=server.EventData(kind="updated", sid=session.sid, state=frame.d))
    return [do.Publish(frame.id, "", event, change=Change(state=frame.d))]


def _bundle_refresh(session: Session, frame: client.BundleRefresh, now: float) -> Effects:
    event = server.Event(d=server.EventData(kind="renewed", sid=session.sid, bundle=frame.d.bundle))
    return [do.Publish(frame.id, "", event, change=Change(bundle=frame.d.bundle))]


def _key_ack(session: Session, frame: client.KeyAck, now: float) -> Effects:
    relay = encode(server.KeyAckRelay(from_=session.sid, d=frame.d))
    return [do.Seal(frame.id, [(frame.to.sid, relay)], True)]


def _key_request(session: Session, frame: client.KeyRequest, now: float) -> Effects:
    if wait := session.allowance.keys(now):
        return session.limited(frame.id, wait, now)
    relay = encode(server.KeyRequestRelay(from_=session.sid, d=frame.d))
    return [do.Seal(frame.id, [(frame.to.sid, relay)], True)]


def _key_send(session: Session, frame: client.KeySend, now: float) -> Effects:
    if wait := session.allowance.keys(now):
        return session.limited(frame.id, wait, now)
    entries = frame.d.entries
    if len({entry.to for entry in entries}) < len(entries):
        return session.fail(frame.id, "malformed", "each recipient has one entry")
    parcels = [
        (entry.to, encode(server.KeyDeliver(from_=session.sid, d=server.KeyDeliverData(entry.body))))
        for entry in entries
    ]
    return [do.Seal(frame.id, parcels, False)]


def _moderate(
    session: Session,
    frame: client.ModKick | client.ModMute | client.ModBlock | client.ModLock | client.ModEnd,
    now: float,
) -> Effects:
    if not session.identity.grants.mod:
        return session.fail(frame.id, "forbidden")
    if isinstance(frame, client.ModKick):
        return [do.Kick(frame.id, frame.d.sid, frame.d.ban_s * 1000)]
    if isinstance(frame, client.ModMute):
        return [do.Mute(frame.id, frame.d.sid, frame.d.kind)]
    if isinstance(frame, client.ModBlock):
        data = server.EventData(
            kind="blocked", sid=frame.d.sid, media=frame.d.media, blocked=frame.d.blocked
        )
        return [do.Publish(frame.id, "", server.Event(d=data), block=frame.d)]
    if isinstance(frame, client.ModLock):
        event = server.Event(d=server.EventData(kind="locked", locked=frame.d.locked))
        return [do.Publish(frame.id, "", event, locked=frame.d.locked)]
    return [do.End(frame.id)]


HANDLERS: dict[type[client.Frame], Callable[..., Effects]] = {
    client.Offer: _offer,
    client.Answer: _answer,
    client.Restart: _restart,
    client.Layout: _layout,
    client.Ice: _ice,
    client.Msg: _msg,
    client.State: _state,
    client.BundleRefresh: _bundle_refresh,
    client.KeyAck: _key_ack,
    client.KeyRequest: _key_request,
    client.KeySend: _key_send,
    client.ModKick: _moderate,
    client.ModMute: _moderate,
    client.ModBlock: _moderate,
    client.ModLock: _moderate,
    client.ModEnd: _moderate,
}
"""By type of frame; the session has seen to it that there is a room."""
