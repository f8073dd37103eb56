"""A plane that keeps books: it takes the control half's commands and refuses what makes no sense."""

from __future__ import annotations

from collections.abc import Iterable

from callcluster_sfu.negotiation import (
    AddLeg,
    AddPeer,
    AddTrack,
    Command,
    RemoveLeg,
    RemovePeer,
    RemoveTrack,
    SetIce,
    SetLeg,
)


class PlaneBooks:
    """What a plane would hold."""

    def __init__(self) -> None:
        self.peers: set[int] = set()
        self.tracks: dict[int, AddTrack] = {}
        self.legs: dict[int, AddLeg] = {}
        self.settings: dict[int, SetLeg] = {}
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
            case SetIce():
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
                if command.rtx_ssrc is not None:
                    self._take("ssrc", command.rtx_ssrc)
                assert command.peer in self.peers
                self.legs[command.leg] = command
            case SetLeg():
                assert command.leg in self.legs
                assert self.settings.get(command.leg, SetLeg(command.leg)) != command
                self.settings[command.leg] = command
            case RemoveLeg():
                del self.legs[command.leg]
                self.settings.pop(command.leg, None)

    def _take(self, kind: str, number: int) -> None:
        assert (kind, number) not in self._used
        self._used.add((kind, number))
