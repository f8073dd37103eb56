"""The packet plane in an event loop: commands become orders, its news become values."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import callcluster_plane

from callcluster_sfu.health import Credentials
from callcluster_sfu.identity import Identity
from callcluster_sfu.negotiation import (
    AddLeg,
    AddPeer,
    AddTrack,
    AimLeg,
    Command,
    ExtensionIds,
    RemoveLeg,
    RemovePeer,
    RemoveTrack,
    RestartIce,
    SetExtensions,
)

STATISTICS_SECONDS = 5.0


class PlaneError(Exception):
    """The plane can't be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A handshake is complete: media flows."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The plane has forgotten ``peer`` with its tracks and legs."""

    peer: int
    why: str


@dataclass(frozen=True, slots=True)
class EncodingLive:
    """The first packet of an encoding came."""

    track: int
    encoding: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A command was not carried out."""

    command: Command
    why: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The plane has ended, or has lost news: it and the control half no longer agree."""


News = Connected | Disconnected | EncodingLive | Refused | Failed
Statistics = Mapping[str, int]


class PacketPlane:
    """A running plane; ``on_news`` is called in the event loop."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        identity: Identity,
        health: Credentials,
        buffer_bytes: int,
        max_peers: int,
        on_news: Callable[[News], None],
    ) -> None:
        """Bind the UDP port and start.

        Raises:
            PlaneError: the port can't be used.
        """
        try:
            self._plane = callcluster_plane.Plane(
                f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
                certificate=identity.certificate,
                private_key=identity.private_key,
                buffer=buffer_bytes,
                offload=True,
                max_peers=max_peers,
                health=(health.ufrag, health.password),
            )
        except OSError as error:
            raise PlaneError(error.strerror or str(error)) from None
        self._on_news = on_news
        self._tokens = itertools.count(1)
        self._orders: dict[int, Command] = {}
        """Not answered yet."""
        self._questions: dict[int, asyncio.Future[Statistics]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._plane.fileno(), self._drain)

    @property
    def port(self) -> int:
        """The UDP port."""
        return self._plane.port

    def close(self) -> None:
        """Free the port; the plane says goodbye to nobody."""
        self._loop.remove_reader(self._plane.fileno())
        self._plane.close()
        for question in self._questions.values():
            question.cancel()

    async def statistics(self) -> Statistics:
        """Counts since the start, and ``peers``.

        Raises:
            TimeoutError: the plane does not answer.
        """
        token = next(self._tokens)
        question: asyncio.Future[Statistics] = self._loop.create_future()
        self._questions[token] = question
        self._plane.ask_statistics(token)
        try:
            async with asyncio.timeout(STATISTICS_SECONDS):
                return await question
        finally:
            del self._questions[token]

    def carry_out(self, command: Command) -> None:
        """Give an order; it holds for every datagram that comes later. A refusal comes as news."""
        token = next(self._tokens)
        self._orders[token] = command
        plane = self._plane
        match command:
            case AddPeer():
                plane.add_peer(
                    token,
                    command.peer,
                    ufrag=command.ufrag.encode(),
                    password=command.pwd.encode(),
                    fingerprint=command.remote_fingerprint,
                    extensions=_extensions(command.extensions),
                )
            case RemovePeer(peer):
                plane.remove_peer(token, peer)
            case RestartIce(peer, ufrag, pwd):
                plane.restart_ice(token, peer, ufrag=ufrag.encode(), password=pwd.encode())
            case SetExtensions(peer, extensions):
                plane.set_extensions(token, peer, _extensions(extensions))
            case AddTrack():
                plane.add_track(
                    token,
                    command.track,
                    command.peer,
                    mid=command.mid.encode(),
                    codec=command.codec,
                    payload_type=command.payload_type,
                    rtx_payload_type=command.rtx_payload_type,
                    encodings=[
                        (None if one.rid is None else one.rid.encode(), one.ssrc, one.rtx_ssrc)
                        for one in command.encodings
                    ],
                )
            case RemoveTrack(track):
                plane.remove_track(token, track)
            case AddLeg():
                plane.add_leg(
                    token,
                    command.leg,
                    command.track,
                    command.peer,
                    mid=command.mid.encode(),
                    ssrc=command.ssrc,
                    payload_type=command.payload_type,
                    rtx=command.rtx,
                    highest=None,
                )
            case AimLeg(leg, highest, priority):
                plane.aim_leg(token, leg, highest, priority)
            case RemoveLeg(leg):
                plane.remove_leg(token, leg)

    def _drain(self) -> None:
        for news in self._plane.drain():
            match news:
                case ("answer", token, refusal):
                    command = self._orders.pop(token)
                    if refusal is not None:
                        self._on_news(Refused(command, refusal))
                case ("connected", _, _):
                    self._on_news(Connected())
                case ("disconnected", peer, why):
                    self._on_news(Disconnected(peer, why))
                case ("encoding_live", track, encoding):
                    self._on_news(EncodingLive(track, encoding))
                case ("statistics", token, counts):
                    if (question := self._questions.get(token)) is not None and not question.done():
                        question.set_result(counts)
                case ("lost", _) | ("failed",):
                    self._on_news(Failed())
                case _:
                    pass  # estimates, loudness and switches, which nothing here follows yet


def _extensions(ids: ExtensionIds) -> callcluster_plane.Extensions:
    return callcluster_plane.Extensions(
        mid=ids.mid,
        rid=ids.rid,
        repaired_rid=ids.repaired_rid,
        transport_sequence=ids.transport_sequence,
        audio_level=ids.audio_level,
        dependency=ids.dependency,
    )
