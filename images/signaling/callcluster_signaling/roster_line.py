"""A member's own line of the roster, and the changes to it that are on their way.

Sans-I/O. A frame may come while the one before it still waits for the bus: each line that is published has
all changes that were published before it, and one that the bus refuses is in none that comes after.
"""

from __future__ import annotations

import msgspec
from callcluster_common.messages.types import Bundle, MediaState, Member


class Change(msgspec.Struct, frozen=True, eq=False, gc=False):
    """New values of some fields; two changes are never the same one."""

    state: MediaState | None = None
    bundle: Bundle | None = None

    def of(self, member: Member) -> Member:
        """The member with these values."""
        return msgspec.structs.replace(
            member,
            state=member.state if self.state is None else self.state,
            bundle=member.bundle if self.bundle is None else self.bundle,
        )


class RosterLine:
    """What the roster says of a member, as far as its own server has made it."""

    __slots__ = ("_accepted", "_under_way")

    def __init__(self, member: Member) -> None:
        self._accepted = member
        self._under_way: list[Change] = []

    def publish(self, change: Change) -> Member:
        """Return the line to publish with ``change``; published again, the change counts as the latest."""
        if change in self._under_way:
            self._under_way.remove(change)
        self._under_way.append(change)
        member = self._accepted
        for waiting in self._under_way:
            member = waiting.of(member)
        return member

    def settle(self, change: Change, accepted: bool) -> None:
        """The bus took the change, or did not; one of an earlier stay in a room is nothing to this one."""
        if change not in self._under_way:
            return
        self._under_way.remove(change)
        if accepted:
            self._accepted = change.of(self._accepted)
