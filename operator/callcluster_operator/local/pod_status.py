"""A pod as the cluster sees it: its ports and its status."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from callcluster_operator.local.container import only_container
from callcluster_operator.local.pod import PodState
from callcluster_operator.local.ports import LOOPBACK
from callcluster_operator.objects import Object


def with_own_ports(pod: Object, first: int | None, pick: Callable[[], int]) -> Object:
    """The pod with a port of this machine for each container port: here all pods share one address.

    A variable or argument that is exactly such a port's number changes with it.

    Args:
        pod: a new pod.
        first: what its first port becomes, or ``None`` for any.
        pick: finds a free port.
    """
    moved = copy.deepcopy(pod)
    container = moved["spec"]["containers"][0]
    old = [str(port["containerPort"]) for port in container.get("ports", ())]
    new = {number: first if first and number == old[0] else pick() for number in old}
    for port in container.get("ports", ()):
        port["containerPort"] = new[str(port["containerPort"])]
    for entry in container.get("env", ()):
        if entry.get("value") in new:
            entry["value"] = str(new[entry["value"]])
    if "args" in container:
        container["args"] = [str(new.get(arg, arg)) for arg in container["args"]]
    return moved


def status(pod: Object, state: PodState) -> dict[str, Any]:
    """The status of a pod that is in ``state``; what did not change keeps its time."""
    before = pod.get("status", {})
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    old = {condition["type"]: condition for condition in before.get("conditions", ())}
    conditions = []
    for kind, holds in (
        ("PodScheduled", True),
        ("Initialized", True),
        ("ContainersReady", state.ready),
        ("Ready", state.ready),
    ):
        condition = {"type": kind, "status": "True" if holds else "False"}
        if not holds:
            condition |= {"reason": state.reason, "message": state.message}
        same = old.get(kind, {}).get("status") == condition["status"]
        conditions.append(
            condition | {"lastTransitionTime": old[kind]["lastTransitionTime"] if same else now}
        )
    container = only_container(pod)
    where: dict[str, Any]
    if state.running:
        where = {"running": {"startedAt": _started(before) or now}}
    else:
        where = {"waiting": {"reason": state.reason, "message": state.message}}
    report: dict[str, Any] = {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "ready": state.ready,
        "restartCount": state.restarts,
        "state": where,
    }
    if state.exit_code is not None:
        report["lastState"] = {"terminated": {"exitCode": state.exit_code}}
    return {
        # As under a kubelet, a pod that has run once stays Running while its container restarts.
        "phase": "Running" if state.running or state.restarts else "Pending",
        "hostIP": LOOPBACK,
        "podIP": LOOPBACK,
        "podIPs": [{"ip": LOOPBACK}],
        "startTime": before.get("startTime", now),
        "conditions": conditions,
        "containerStatuses": [report],
    }


def _started(status: dict[str, Any]) -> str | None:
    for report in status.get("containerStatuses", ()):
        started = report["state"].get("running", {}).get("startedAt")
        if started:
            return str(started)
    return None
