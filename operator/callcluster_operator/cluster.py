"""The port through which the reconciler reads and writes objects: five verbs, dict bodies.

``kube.client`` implements it on a real API server, ``local.store`` in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from callcluster_operator.objects import Kind, Object, Ref

FIELD_MANAGER = "callcluster-operator"


class ClusterError(Exception):
    """The API server could not be asked or refused; worth another try later."""


class ConflictError(ClusterError):
    """The object changed or vanished since it was read: read again and decide anew."""


class InvalidObjectError(ClusterError):
    """The API server refuses the object for good (422, or 403 by a policy); the message says why."""


class Cluster(Protocol):
    """Reads and writes objects. Every method may raise :class:`ClusterError`."""

    async def get(self, ref: Ref) -> Object | None:
        """The object, or ``None`` where it does not exist."""

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Object]:
        """Objects of a kind, in one namespace or (``None``) all, that carry all ``labels``."""

    async def apply(self, manifest: Object, *, field_manager: str = FIELD_MANAGER) -> Object:
        """Server-side apply with force: make what ``manifest`` says so, leave all other fields alone."""

    async def delete(self, ref: Ref, *, uid: str, resource_version: str | None = None) -> None:
        """Delete the very object that was seen; one that is gone already is no error.

        Raises:
            ConflictError: another object has the name now, or it changed since ``resource_version``.
        """

    async def write_status(
        self, ref: Ref, status: Mapping[str, Any], *, resource_version: str | None = None
    ) -> None:
        """Replace the status subresource with ``status``; a vanished object is no error.

        Raises:
            ConflictError: the object changed since ``resource_version``.
        """
