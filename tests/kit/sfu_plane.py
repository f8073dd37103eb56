"""A plane that keeps books: it takes the control half's commands and refuses what makes no sense."""

from __future__ import annotations

from collections.abc import Iterable

from callcluster_sfu.negotiation import (
    AddLeg,
    AddPeer,
    AddTrack,
    AimLeg,
    Command,
    RemoveLeg,
    RemovePeer,
    RemoveTrack,
    RestartIce,
    SetExtensions,
)

UNKNOWN_TRACKS = 900
"""Tracks from here on are taken to be there: a test of one connection has no other publishers."""


class PlaneBooks:
    """What a plane would hold."""

    def __init__(self) -> None:
        self.peers: set[int] = set()
        self.tracks: dict[int, AddTrack] = {}
        self.legs: dict[int, AddLeg] = {}
        self.targets: dict[int, int | None] = {}
        self._aims: dict[int, AimLeg] = {}
        self._used: set[tuple[str, int]] = set()

    def carry_out(self, commands: Iterable[Command]) -> None:
        """In order; an assertion fails for one that a plane could not do."""
        for command in commands:
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        match command:
            case AddPeer():
                self._take("peer", command.peer)
                self.peers.add(command.peer)
            case RestartIce() | SetExtensions():
                assert command.peer in self.peers
            case RemovePeer():
                assert not any(
                    item.peer == command.peer for item in (*self.tracks.values(), *self.legs.values())
                )
                self.peers.remove(command.peer)
            case AddTrack():
                self._take("track", command.track)
                assert command.peer in self.peers
                self.tracks[command.track] = command
            case RemoveTrack():
                assert not any(leg.track == command.track for leg in self.legs.values())
                del self.tracks[command.track]
            case AddLeg():
                self._take("leg", command.leg)
                self._take("ssrc", command.ssrc)
                if command.rtx is not None:
                    self._take("ssrc", command.rtx[0])
                assert command.peer in self.peers
                assert command.track in self.tracks or command.track >= UNKNOWN_TRACKS
                self.legs[command.leg] = command
                self.targets[command.leg] = None
            case AimLeg():
                assert self._aims.get(command.leg, AimLeg(command.leg, None)) != command
                self._aims[command.leg] = command
                self.targets[command.leg] = command.highest
            case RemoveLeg():
                del self.legs[command.leg]
                del self.targets[command.leg]

    def forget(self, peer: int) -> None:
        """What a plane does by itself when a transport dies."""
        self.peers.discard(peer)
        gone = {track.track for track in self.tracks.values() if track.peer == peer}
        self.tracks = {number: track for number, track in self.tracks.items() if number not in gone}
        self.legs = {
            number: leg for number, leg in self.legs.items() if leg.peer != peer and leg.track not in gone
        }
        self.targets = {number: target for number, target in self.targets.items() if number in self.legs}

    def _take(self, kind: str, number: int) -> None:
        assert (kind, number) not in self._used
        self._used.add((kind, number))
