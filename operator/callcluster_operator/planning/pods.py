"""What a pod's status says."""

from __future__ import annotations

from callcluster_operator.api.times import seconds_of
from callcluster_operator.objects import Object


def is_terminating(pod: Object) -> bool:
    """Whether the pod has been told to go."""
    return "deletionTimestamp" in pod["metadata"]


def has_ended(pod: Object) -> bool:
    """Whether all its containers have stopped for good."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def is_ready(pod: Object) -> bool:
    """Whether it runs and its readiness probe succeeds."""
    return condition(pod, "Ready").get("status") == "True" and not has_ended(pod)


def may_run(pod: Object) -> bool:
    """Whether a process of the pod may be alive; in doubt it may."""
    status = pod.get("status", {})
    if status.get("phase", "Pending") == "Pending" or has_ended(pod):
        return False
    containers = status.get("containerStatuses", ())
    return not containers or any("running" in container.get("state", {}) for container in containers)


def changed_at(pod: Object) -> float:
    """Unix time of its making or of the last change of its conditions, such as a restart's."""
    conditions = pod.get("status", {}).get("conditions", ())
    times = (
        pod["metadata"].get("creationTimestamp"),
        *(each.get("lastTransitionTime") for each in conditions),
    )
    return max(seconds_of(time) or 0.0 for time in times)


def variable(pod: Object, name: str) -> str:
    """What the pod's spec sets an environment variable to; empty where it does not."""
    for container in pod["spec"]["containers"]:
        for each in container.get("env", ()):
            if each["name"] == name:
                return str(each.get("value", ""))
    return ""


def condition(pod: Object, kind: str) -> dict[str, str]:
    """One of the pod's conditions; empty where it has none of that type."""
    for found in pod.get("status", {}).get("conditions", ()):
        if found.get("type") == kind:
            return dict(found)
    return {}
