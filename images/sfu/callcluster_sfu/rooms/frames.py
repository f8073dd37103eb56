"""What members and the SFU say to each other, on the wire."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from callcluster_common.bus.posts import ToSfu, asked
from callcluster_common.messages import client, server
from callcluster_common.messages.types import MAX_SDP_BYTES, MAX_TRACKS, SFU

from callcluster_sfu.room import Wish
from callcluster_sfu.rooms.says import Answer, Refusal, Say
from callcluster_sfu.rooms.seat import Offered

MAX_REASON = 256

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Wished:
    """How a member wants tracks."""

    sid: str
    wishes: dict[str, Wish]


def request(post: ToSfu) -> Offered | Wished:
    """What a member asks for.

    Raises:
        ValueError: no honest pod hands this on.
    """
    match asked(post):
        case client.Offer(d=d):
            if d.route is None or d.seq is None or d.wants is None:
                raise ValueError("an offer to the SFU names its route")
            return Offered(post.sid, d.route, d.seq, d.sdp, d.wants)
        case client.Layout(d=d):
            wishes = {track: Wish(wish.highest, wish.paused) for track, wish in d.wishes.items()}
            return Wished(post.sid, wishes)


def frame(said: Say) -> str:
    """The frame for the member that ``said`` is to."""
    if isinstance(said, Answer) and len(said.sdp) > MAX_SDP_BYTES:
        said = Refusal(said.sid, said.route, said.seq, "the answer would be too large")
    made: server.ServerFrame
    match said:
        case Answer():
            made = server.AnswerRelay(
                from_=SFU,
                d=server.AnswerData(
                    sdp=said.sdp,
                    route=said.route,
                    seq=said.seq,
                    published=dict(said.published),
                    unserved=list(said.unserved),
                ),
            )
        case Refusal():
            made = server.SfuRefused(
                d=server.SfuRefusedData(route=said.route, seq=said.seq, reason=said.reason[:MAX_REASON])
            )
        case _:
            tracks = [
                server.Track(
                    track.name,
                    track.member,
                    "audio" if track.kind == "audio" else "video",
                    track.mid,
                    track.muted,
                )
                for track in said.tracks[:MAX_TRACKS]
            ]
            made = server.Sfu(d=server.SfuData(route=said.route, rev=said.revision, tracks=tracks))
    return _encode(made).decode()
