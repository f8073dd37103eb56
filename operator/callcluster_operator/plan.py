"""What is to be done: the outcome of planning, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from callcluster_operator.objects import Object, Ref


@dataclass(frozen=True)
class Apply:
    """Make an object so, by server-side apply."""

    manifest: Object


@dataclass(frozen=True)
class Delete:
    """Delete the very object that was seen, if it has not changed since."""

    ref: Ref
    uid: str
    resource_version: str


@dataclass(frozen=True)
class Drain:
    """Tell a pod to take no new sessions (``POST /drain`` on its control port); safe to repeat."""

    pod: Object


@dataclass(frozen=True)
class WriteStatus:
    """Replace an object's status, if the object has not changed; planned only where the status differs.

    The status of a Room is the one record of its life, so that no stale snapshot may write it.
    """

    ref: Ref
    status: dict[str, Any]
    resource_version: str


@dataclass(frozen=True)
class Plan:
    """All steps of one pass, in order. An empty plan means that the world is as it should be."""

    steps: tuple[Apply | Delete | Drain | WriteStatus, ...] = ()
    wake_after: float | None = None
    """Seconds after which to plan again even if nothing happens; ``None`` leaves it to the resync."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps
