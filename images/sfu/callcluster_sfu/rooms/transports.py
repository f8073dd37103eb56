"""What there is on the plane, and of which room: orders on their way there pass through here."""

from __future__ import annotations

from typing import Protocol

from callcluster_sfu.negotiation import AddPeer, AddTrack, Command, RemovePeer, RemoveTrack
from callcluster_sfu.rooms.held import Held


class Plane(Protocol):
    """What rooms need of the packet plane."""

    def carry_out(self, command: Command) -> None:
        """Give an order."""


class Transports:
    """All transports and tracks of this process."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._peers: dict[int, Held] = {}
        self._tracks: dict[int, int] = {}
        """The peers that publish them."""

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def tracks(self) -> int:
        """How many tracks there are."""
        return len(self._tracks)

    def room_of(self, peer: int) -> Held | None:
        """The room of a transport, if it is still there."""
        return self._peers.get(peer)

    def room_of_track(self, track: int) -> Held | None:
        """The room of a track, if it is still there."""
        return self._peers.get(self._tracks.get(track, 0))

    def order(self, held: Held, command: Command) -> None:
        """Have a command of ``held`` carried out."""
        match command:
            case AddPeer(peer=peer):
                self._peers[peer] = held
            case RemovePeer(peer):
                self.forget(peer)
            case AddTrack(track=track, peer=peer):
                self._tracks[track] = peer
            case RemoveTrack(track):
                self._tracks.pop(track, None)
        self._plane.carry_out(command)

    def end(self, held: Held) -> None:
        """End all transports of ``held``, whatever is on them."""
        for peer in [peer for peer, room in self._peers.items() if room is held]:
            self.order(held, RemovePeer(peer))

    def forget(self, peer: int) -> None:
        """A transport is no more, and its tracks with it."""
        self._peers.pop(peer, None)
        self._tracks = {track: owner for track, owner in self._tracks.items() if owner != peer}
