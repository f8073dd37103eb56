"""What somebody at the terminal is told: plain lines, each said once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from callcluster_operator.api import conditions
from callcluster_operator.local.deployments import is_ready
from callcluster_operator.local.pod import CREATING, STARTING, TERMINATING, UNREADY
from callcluster_operator.local.ports import LOOPBACK, PortBusyError
from callcluster_operator.local.programs import ProgramMissingError, component_of
from callcluster_operator.objects import Object
from callcluster_operator.planning import names

CLUSTER = "cluster"
"""What is said of the whole."""
COMPONENTS = (names.REDIS, names.TURN, names.SFU, names.SIGNALING)
NOT_READY = "not ready"
_STARTING = frozenset({CREATING, STARTING, TERMINATING})
"""Reasons that pass by themselves."""
_FOR_PEOPLE = {
    (conditions.PROGRESSING, "Paused"): CLUSTER,
    (conditions.READY, "NameTaken"): CLUSTER,
    (conditions.SIGNALING_AVAILABLE, "SecretMissing"): names.SIGNALING,
    (conditions.TURN_AVAILABLE, "SecretMissing"): names.TURN,
    (conditions.SFU_CAPACITY_AVAILABLE, "SecretMissing"): names.SFU,
}
"""Conditions that only people can do something about, and of what each tells."""
_ADVICE = {
    (names.TURN, PortBusyError.reason): "takes other ports",
    (names.TURN, ProgramMissingError.reason): "calls work without relay",
    (names.SFU, PortBusyError.reason): "takes other ports",
    (names.SFU, ProgramMissingError.reason): "group calls run as a mesh",
}
"""What to add to the reason why a component does not run."""
_PROTOCOLS = {names.TURN: " (UDP, TCP)", names.SFU: " (UDP)"}
"""Of the ports that are shown, where that is not HTTP or Redis' own."""


def to_do(callcluster: Object) -> dict[str, str]:
    """What people have to do before it goes on: one line each, of a component or of the whole."""
    return {
        _FOR_PEOPLE[condition["type"], condition["reason"]]: condition["message"]
        for condition in callcluster.get("status", {}).get("conditions", ())
        if (condition["type"], condition["reason"]) in _FOR_PEOPLE
    }


def lines(pods: Sequence[Object], signaling_url: str) -> dict[str, str]:
    """One line for each component that has something to say.

    Args:
        pods: all pods.
        signaling_url: where people reach the page.
    """
    said = {}
    for component in COMPONENTS:
        mine = [
            pod
            for pod in pods
            if component_of(pod) == component and "deletionTimestamp" not in pod["metadata"]
        ]
        place = signaling_url if component == names.SIGNALING else _address(component, mine)
        text = _line(component, mine, place) if mine else None
        if text is not None:
            said[component] = text
    return said


def _address(component: str, pods: Sequence[Object]) -> str:
    """Where other programs reach a component: the first port of each of its pods."""
    ports = [str(pod["spec"]["containers"][0]["ports"][0]["containerPort"]) for pod in pods]
    return f"{LOOPBACK}:{', '.join(ports)}{_PROTOCOLS.get(component, '')}"


def _line(component: str, pods: Sequence[Object], place: str) -> str | None:
    restarts = sum(report["restartCount"] for pod in pods for report in _reports(pod))
    ready = [pod for pod in pods if is_ready(pod)]
    if len(ready) == len(pods):
        count = f"{len(pods)} pods, " if len(pods) > 1 else ""
        suffix = f" ({restarts} {'restart' if restarts == 1 else 'restarts'})" if restarts else ""
        return f"ready{suffix}, {count}{place}"
    for pod in pods:
        for report in _reports(pod):
            waiting = report["state"].get("waiting")
            if waiting and waiting["reason"] not in _STARTING:
                advice = _ADVICE.get((component, waiting["reason"]))
                # Without the count: a process that never starts would fill the terminal with it.
                return said_by(waiting["message"]) + (f"; {advice}" if advice else "")
    # While some are ready, the others are most likely being replaced.
    return None if ready else _not_ready(pods)


def _not_ready(pods: Sequence[Object]) -> str | None:
    for pod in pods:
        for condition in pod.get("status", {}).get("conditions", ()):
            if condition["type"] == "Ready" and condition.get("reason") == UNREADY:
                return f"{NOT_READY}: {condition['message']}"
    return None


def _reports(pod: Object) -> Sequence[dict[str, Any]]:
    reports: Sequence[dict[str, Any]] = pod.get("status", {}).get("containerStatuses", ())
    return reports


def said_by(text: str) -> str:
    """A log line's message: our own processes log JSON."""
    before, brace, rest = text.partition("{")
    if not brace:
        return text
    try:
        record = json.loads(brace + rest)
    except ValueError:
        return text
    return f"{before}{record['msg']}" if isinstance(record, dict) and "msg" in record else text


class Display:
    """Prints what changed since it was called last."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._shown: dict[str, str] = {}

    def show(self, said: Mapping[str, str]) -> None:
        """Print the lines that are new. What is said of the whole is new again after it was gone."""
        if CLUSTER not in said:
            self._shown.pop(CLUSTER, None)
        for component, text in said.items():
            if self._shown.get(component) != text:
                self._shown[component] = text
                self._write(f"  {component:<10} {text}")
