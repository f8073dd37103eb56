"""Reads all that planning may see of one CallCluster: objects first, then the pods' reports."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping

from callcluster_common import keyset

from callcluster_operator.api.parse import parse_callcluster
from callcluster_operator.cluster import Cluster
from callcluster_operator.kube.nodes import Nodes
from callcluster_operator.objects import (
    CALL_CLUSTER,
    CHILD_KINDS,
    POD,
    ROOM,
    SECRET,
    Object,
    Ref,
    ref_of,
)
from callcluster_operator.observed import Observed, Platform, PortClaim
from callcluster_operator.planning import names, ports
from callcluster_operator.planning.references import references
from callcluster_operator.workload.reports import ReportReader


async def gather(
    cluster: Cluster,
    nodes: Nodes,
    reports: ReportReader,
    platform: Platform,
    callcluster: Object,
    *,
    now: float,
    entropy: bytes,
) -> Observed:
    """One snapshot, read from the API server itself and not from a cache; only the nodes may be older.

    Raises:
        ClusterError: something could not be read; a snapshot with holes would plan harm.
    """
    ref = ref_of(callcluster)
    children, rooms, claims, secrets = await asyncio.gather(
        children_of(cluster, ref),
        rooms_of(cluster, ref),
        neighbours_of(cluster, ref),
        named_secrets(cluster, callcluster),
    )
    pods = [child for child in children.values() if child["kind"] == POD.kind]
    keys = control_keys(children, ref.name)
    answers = await reports.read(pods, keys) if keys else {}
    return Observed(
        now=now,
        entropy=entropy,
        platform=platform,
        callcluster=callcluster,
        children=children,
        rooms=rooms,
        nodes=await nodes.around(pods),
        neighbours=claims,
        secrets=secrets,
        reports=answers,
    )


async def children_of(cluster: Cluster, ref: Ref) -> dict[Ref, Object]:
    """All objects that carry a CallCluster's labels, in the order in which they are made."""
    found = await asyncio.gather(
        *(
            cluster.list(kind, namespace=ref.namespace, labels=names.selector(ref.name))
            for kind in CHILD_KINDS
        )
    )
    return {ref_of(child): child for objects in found for child in objects}


async def rooms_of(cluster: Cluster, ref: Ref) -> tuple[Object, ...]:
    """The rooms whose ``clusterRef`` names a CallCluster."""
    rooms = await cluster.list(ROOM, namespace=ref.namespace)
    return tuple(room for room in rooms if owner_of(room) == ref)


def owner_of(room: Object) -> Ref:
    """The CallCluster that a room names, whether it exists or not; an unreadable room names none."""
    spec = room.get("spec")
    reference = spec.get("clusterRef") if isinstance(spec, dict) else None
    name = reference.get("name") if isinstance(reference, dict) else None
    return Ref(CALL_CLUSTER, room["metadata"]["namespace"], name if isinstance(name, str) else "")


async def neighbours_of(cluster: Cluster, ref: Ref) -> tuple[PortClaim, ...]:
    """Host ports that servers of other CallClusters hold, in all namespaces that we may see."""
    found = await asyncio.gather(
        *(cluster.list(POD, labels=names.every_pod(component)) for component in names.ON_THE_HOST)
    )
    claims = (ports.claim_of(pod) for pods in found for pod in pods)
    return tuple(
        claim for claim in claims if claim is not None and claim.owner != f"{ref.namespace}/{ref.name}"
    )


async def named_secrets(cluster: Cluster, callcluster: Object) -> dict[str, frozenset[str]]:
    """Keys of the Secrets that the spec names, by name, of those that exist."""
    spec = parse_callcluster(callcluster)
    if isinstance(spec, tuple):
        return {}
    namespace = callcluster["metadata"]["namespace"]
    wanted = sorted({reference.secret for reference in references(spec)})
    found = await asyncio.gather(*(cluster.get(Ref(SECRET, namespace, name)) for name in wanted))
    return {
        name: frozenset(secret.get("data") or ())
        for name, secret in zip(wanted, found, strict=True)
        if secret is not None
    }


def control_keys(children: Mapping[Ref, Object], name: str) -> keyset.KeySet | None:
    """The keys of the control ports, or ``None`` before they are made or after somebody broke them."""
    for ref, child in children.items():
        if ref.kind == SECRET and ref.name == names.control_secret(name):
            data = child.get("data", {}).get(keyset.KEYS_FILE, "")
            try:
                return keyset.parse(base64.b64decode(data))
            except ValueError:
                return None
    return None
