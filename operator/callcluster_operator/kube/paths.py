"""Where the API server keeps the kinds that we use.

A table instead of the client library's discovery: that would write a cache file, which a read-only root
file system refuses, and cost a dozen requests at start.
"""

from __future__ import annotations

from urllib.parse import quote

from callcluster_operator.objects import CALL_CLUSTER, CHILD_KINDS, NODE, ROOM, Kind

LEASE = Kind("coordination.k8s.io/v1", "Lease")

_PLURALS = {kind: f"{kind.kind.lower()}s" for kind in (*CHILD_KINDS, CALL_CLUSTER, ROOM, NODE, LEASE)}
_PLURALS |= {kind: "networkpolicies" for kind in _PLURALS if kind.kind == "NetworkPolicy"}


def plural_of(kind: Kind) -> str:
    """The kind's name in paths: ``pods``."""
    return _PLURALS[kind]


def path_of(kind: Kind, namespace: str | None, name: str = "") -> str:
    """Path of an object, or without ``name`` of a collection, in one namespace or in all."""
    root = "/apis" if "/" in kind.api_version else "/api"
    place = f"/namespaces/{quote(namespace)}" if kind.namespaced and namespace else ""
    return f"{root}/{kind.api_version}{place}/{plural_of(kind)}" + (f"/{quote(name)}" if name else "")
