"""What a Deployment controller would do: which pods to make and which to end. Data in, data out."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from callcluster_operator.objects import Object

HASH_LABEL = "pod-template-hash"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


@dataclass(frozen=True)
class Change:
    """What one Deployment needs now."""

    create: tuple[Object, ...] = ()
    delete: tuple[Object, ...] = ()


def is_ready(pod: Object) -> bool:
    """Whether the pod's ``Ready`` condition holds and nobody has deleted it."""
    conditions = pod.get("status", {}).get("conditions", ())
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )


def owner_uid(pod: Object) -> str | None:
    """Uid of the Deployment that made the pod."""
    for reference in pod["metadata"].get("ownerReferences", ()):
        if reference["kind"] == "Deployment" and reference.get("controller"):
            return str(reference["uid"])
    return None


def template_hash(deployment: Object) -> str:
    """Tells pods of different templates apart."""
    text = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def change(deployment: Object, pods: Sequence[Object], make: Callable[[Object, str], Object]) -> Change:
    """Decide about one Deployment.

    New pods come first, and old ones go when the new are ready; the other way round where the strategy is
    ``Recreate`` or allows no surge.

    Args:
        deployment: the Deployment.
        pods: those that it owns.
        make: makes a pod from the Deployment and the hash of its template.
    """
    replicas = deployment["spec"].get("replicas", 1)
    current = template_hash(deployment)
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    new = [pod for pod in alive if pod["metadata"].get("labels", {}).get(HASH_LABEL) == current]
    old = [pod for pod in alive if pod not in new]
    if len(new) > replicas:
        return Change(delete=tuple(sorted(new, key=_worth)[: len(new) - replicas]))
    missing = replicas - len(new)
    if old and not _surges(deployment):
        return Change(delete=tuple(old))
    if not _surges(deployment) and len(pods) > len(alive):
        return Change()  # the ports of those that still end are not free yet
    if missing:
        return Change(create=tuple(make(deployment, current) for _ in range(missing)))
    if all(is_ready(pod) for pod in new):
        return Change(delete=tuple(old))
    return Change()


def status(deployment: Object, pods: Sequence[Object]) -> dict[str, Any]:
    """The status that a Deployment with these pods has."""
    current = template_hash(deployment)
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    updated = [pod for pod in alive if pod["metadata"].get("labels", {}).get(HASH_LABEL) == current]
    ready = [pod for pod in alive if is_ready(pod)]
    wanted = deployment["spec"].get("replicas", 1)
    available = len(ready) >= wanted
    return {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": len(alive),
        "updatedReplicas": len(updated),
        "readyReplicas": len(ready),
        "availableReplicas": len(ready),
        "unavailableReplicas": max(0, wanted - len(ready)),
        "conditions": [
            {
                "type": "Available",
                "status": "True" if available else "False",
                "reason": "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable",
                "message": f"{len(ready)} of {wanted} pods are ready",
            }
        ],
    }


def pod_of(deployment: Object, template: str, *, suffix: str, node: str) -> Object:
    """A pod of the Deployment's template, bound to ``node``."""
    metadata = deployment["metadata"]
    body = copy.deepcopy(deployment["spec"]["template"])
    body.setdefault("metadata", {})
    body["metadata"] |= {
        "name": f"{metadata['name']}-{template[:8]}-{suffix}",
        "namespace": metadata["namespace"],
        "labels": {**body["metadata"].get("labels", {}), HASH_LABEL: template},
        "ownerReferences": [
            {
                "apiVersion": deployment["apiVersion"],
                "kind": deployment["kind"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    body["spec"]["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", **body}


def _surges(deployment: Object) -> bool:
    strategy = deployment["spec"].get("strategy") or {}
    surge = (strategy.get("rollingUpdate") or {}).get("maxSurge", 1)
    return strategy.get("type") != "Recreate" and surge not in (0, "0", "0%")


def _worth(pod: Object) -> tuple[bool, int, str]:
    """Kubernetes' order of who goes first: not ready, cheapest, then youngest (names stand in for age)."""
    cost = int(pod["metadata"].get("annotations", {}).get(DELETION_COST, "0"))
    return (is_ready(pod), cost, pod["metadata"]["name"])
