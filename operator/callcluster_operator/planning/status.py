"""The status of a CallCluster: is it ready, why not, where is it, who uses it, when does the key change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from callcluster_operator.api import conditions
from callcluster_operator.api.conditions import Condition
from callcluster_operator.api.parse import Problems
from callcluster_operator.api.times import timestamp
from callcluster_operator.objects import DEPLOYMENT, Object, ref_of
from callcluster_operator.plan import WriteStatus
from callcluster_operator.planning import names, references, server_status, sfu, signaling
from callcluster_operator.planning.fleet import Tier
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.rooms import Decision
from callcluster_operator.planning.rotation import Rotation
from callcluster_operator.planning.turn import TURNServer

PATIENCE_SECONDS = 300
"""How long pods may take to confirm a key set before that is called overdue."""


@dataclass(frozen=True)
class Outlook:
    """What a pass found and decided."""

    turn_tier: Tier[TURNServer]
    sfus: sfu.Decision
    turn_keys: Rotation
    turn_uris: tuple[str, ...]
    is_announced: bool
    """Whether all signaling pods follow the present directive."""
    rooms: tuple[Decision, ...]
    has_keys: bool
    """Whether the TURN keys exist, or are made in this pass."""
    has_redis: bool
    is_changing: bool
    """Whether objects are written in this pass."""
    names_taken: tuple[str, ...] = ()
    """Objects of somebody else whose names we need."""


def deployment_problem(installation: Installation, *, has_redis: bool) -> Condition | None:
    """Why signaling takes no sessions, or ``None`` where it does."""
    # Pods go before their Deployment's status tells.
    is_up = _ready_replicas(installation, names.SIGNALING) > 0 and bool(installation.signaling_pods())
    lacking = references.missing(installation, names.SIGNALING)
    if lacking is not None and not is_up:
        return _signaling("False", "SecretMissing", lacking)
    if has_redis and not _ready_replicas(installation, names.REDIS):
        return _signaling("False", "RedisNotReady", "the managed Redis is not ready")
    if not is_up:
        return _signaling("False", "PodsNotReady", "no signaling pod is ready: look at the pods' events")
    reports = [
        report for pod in installation.signaling_pods() if (report := installation.signaling_report(pod))
    ]
    if reports and not any(report.bus_up for report in reports):
        return _signaling("False", "RedisNotReady", "no signaling pod reaches Redis: nobody can join")
    return None


def status_steps(installation: Installation, outlook: Outlook) -> tuple[WriteStatus, ...]:
    """The write that brings the status up to date, if one is needed."""
    status = {
        "endpoints": {
            "signalingURL": _signaling_url(installation),
            "turnURIs": list(outlook.turn_uris),
        },
        "signaling": {
            "replicas": _deployment_status(installation, names.SIGNALING).get("replicas", 0),
            "readyReplicas": _ready_replicas(installation, names.SIGNALING),
            "sessions": signaling.sessions(installation),
            "selector": names.selector_text(names.component_selector(installation.name, names.SIGNALING)),
        },
        "turn": server_status.turn(installation, outlook.turn_tier),
        "rooms": _rooms(outlook.rooms),
    }
    if outlook.sfus.wanted or outlook.sfus.servers:
        status["sfu"] = server_status.sfus(installation, outlook.sfus)
    if outlook.has_keys:
        status["credentials"] = _credentials(outlook.turn_keys)
    said = _conditions(installation, outlook)
    return _write(installation.observed.callcluster, status, said, installation.now)


def invalid_steps(callcluster: Object, problems: Problems, now: float) -> tuple[WriteStatus, ...]:
    """Say what is wrong with the spec. All else in the status stays as it was: it still runs."""
    message = "; ".join(str(problem) for problem in problems)
    said = [
        Condition(conditions.READY, "False", "InvalidSpec", message),
        Condition(conditions.PROGRESSING, "False", "InvalidSpec", message),
    ]
    return _say(callcluster, said, now)


def refused_steps(callcluster: Object, refusal: str, now: float) -> tuple[WriteStatus, ...]:
    """Say that the API server refuses an object of ours. Where members can place calls, they still can."""
    said = [Condition(conditions.PROGRESSING, "False", "Refused", refusal)]
    before = (callcluster.get("status") or {}).get("conditions", ())
    if not any(each["type"] == conditions.READY and each["status"] == "True" for each in before):
        said.append(Condition(conditions.READY, "False", "Refused", refusal))
    return _say(callcluster, said, now)


def _say(callcluster: Object, said: list[Condition], now: float) -> tuple[WriteStatus, ...]:
    before: dict[str, Any] = callcluster.get("status") or {}
    kept = {key: value for key, value in before.items() if key not in ("conditions", "observedGeneration")}
    types = {condition.type for condition in said}
    old = [each for each in before.get("conditions", ()) if each["type"] not in types]
    return _write(callcluster, kept, said, now, keep=old)


def _write(
    callcluster: Object,
    status: dict[str, Any],
    said: list[Condition],
    now: float,
    keep: Iterable[dict[str, Any]] = (),
) -> tuple[WriteStatus, ...]:
    before: dict[str, Any] = callcluster.get("status") or {}
    generation = callcluster["metadata"].get("generation", 0)
    merged = conditions.merge(before.get("conditions", ()), said, generation=generation, now=now)
    wanted = {"observedGeneration": generation, "conditions": [*merged, *keep], **status}
    if wanted == before:
        return ()
    return (WriteStatus(ref_of(callcluster), wanted, callcluster["metadata"]["resourceVersion"]),)


def _conditions(installation: Installation, outlook: Outlook) -> list[Condition]:
    signaling_up = deployment_problem(installation, has_redis=outlook.has_redis) or _signaling(
        "True", "Available", "signaling takes sessions"
    )
    turn_up = server_status.turn_available(
        installation, outlook.turn_tier, is_announced=outlook.is_announced
    )
    return [
        _ready(installation, outlook, [signaling_up, turn_up]),
        _progressing(installation, outlook),
        signaling_up,
        turn_up,
        server_status.sfu_capacity(installation, outlook.sfus.shared),
        server_status.relays_reach_sfus(installation, outlook.sfus.servers),
        server_status.addresses_resolved(installation, outlook.turn_tier),
        _credentials_rotated(installation, outlook.turn_keys, has_keys=outlook.has_keys),
    ]


def _ready(installation: Installation, outlook: Outlook, needed: list[Condition]) -> Condition:
    if outlook.names_taken:
        taken = ", ".join(outlook.names_taken)
        return Condition(
            conditions.READY, "False", "NameTaken", f"{taken}: delete it, or name the CallCluster anew"
        )
    for condition in needed:
        if condition.status != "True" and condition.reason != "NotRequested":
            return Condition(conditions.READY, "False", condition.reason, condition.message)
    return Condition(conditions.READY, "True", "Available", "members can place calls")


def _progressing(installation: Installation, outlook: Outlook) -> Condition:
    def said(status: conditions.Status, reason: str, message: str) -> Condition:
        return Condition(conditions.PROGRESSING, status, reason, message)

    turn, sfus = outlook.turn_tier, outlook.sfus
    servers = (*turn.servers, *sfus.servers)
    is_settled = turn.is_settled and sfus.is_settled
    if installation.spec.paused:
        return said("False", "Paused", "spec.paused is set: nothing is changed until it is not")
    if turn.exhausted:
        return said("True", "PortsExhausted", server_status.turn_exhausted(installation))
    if sfus.exhausted:
        return said("True", "PortsExhausted", server_status.sfu_exhausted(installation))
    conflicting = [server.name for server in servers if server.has_conflict]
    if conflicting:
        return said("True", "PortsConflict", f"{', '.join(conflicting)}: moving to other ports")
    components = [names.SIGNALING, *([names.REDIS] if outlook.has_redis else [])]
    rolling = [component for component in components if not _is_rolled_out(installation, component)]
    if rolling or not is_settled:
        for component in (names.SIGNALING, names.TURN):
            lacking = references.missing(installation, component)
            if lacking is not None:
                return said("True", "SecretMissing", lacking)
    if outlook.is_changing or rolling:
        return said("True", "RollingOut", f"{' and '.join(rolling) or 'objects'} on the way")
    draining = [server.name for server in servers if server.is_leaving]
    if draining:
        last = "call" if any(server.is_leaving for server in sfus.servers) else "relay"
        return said("True", "Draining", f"{', '.join(draining)}: waiting for the last {last} to end")
    if not is_settled:
        return said("True", "RollingOut", f"{'SFUs' if turn.is_settled else 'TURN servers'} are on the way")
    return said("False", "AsWanted", "everything is as the spec says")


def _credentials_rotated(installation: Installation, rotation: Rotation, *, has_keys: bool) -> Condition:
    def said(status: conditions.Status, reason: str, message: str) -> Condition:
        return Condition(conditions.CREDENTIALS_ROTATED, status, reason, message)

    if not has_keys:
        return said("Unknown", "Paused", "there are no keys yet")
    ring = rotation.ring
    waiting = ", ".join(rotation.waiting)
    asked_at = ring.minting_since if ring.staged_at is None else ring.staged_at
    if rotation.waiting and installation.now > asked_at + PATIENCE_SECONDS:
        return said("False", "RotationOverdue", f"not confirmed by {waiting}: look at these pods")
    if ring.phase == "Staged":
        return said("True", "Staged", f"key {ring.keys.kids[-1]} is staged; not confirmed by {waiting}")
    if ring.phase == "Overlap":
        return said("True", "OverlapActive", f"key {ring.keys.mint} is in use, the old one still accepted")
    return said("True", "Settled", f"key {ring.keys.mint} is in use")


def _credentials(rotation: Rotation) -> dict[str, Any]:
    ring = rotation.ring
    told = {
        "phase": ring.phase,
        "mintKeyID": ring.keys.mint,
        "acceptedKeyIDs": list(ring.keys.kids),
        "pendingAcknowledgements": len(rotation.waiting),
        "lastRotationTime": timestamp(ring.minting_since),
        "nextRotationTime": timestamp(ring.due_at(rotation.policy)),
    }
    retires_at = ring.retires_at(rotation.policy)
    if retires_at is not None:
        told["retirementTime"] = timestamp(retires_at)
    return told


def _rooms(decisions: Iterable[Decision]) -> dict[str, int]:
    lives = [decision.history for decision in decisions]
    return {
        "open": sum(life.completed is None for life in lives),
        "occupied": sum(life.participants > 0 for life in lives),
        "participants": sum(life.participants for life in lives),
    }


def _signaling(status: conditions.Status, reason: str, message: str) -> Condition:
    return Condition(conditions.SIGNALING_AVAILABLE, status, reason, message)


def _signaling_url(installation: Installation) -> str:
    host = installation.platform.service_host
    return (
        f"ws://{host}:{installation.platform.signaling_port}"
        if host
        else f"wss://{installation.spec.domain}"
    )


def _deployment_status(installation: Installation, component: str) -> dict[str, Any]:
    live = installation.child(DEPLOYMENT, names.workload(installation.name, component))
    return (live.get("status") or {}) if live else {}


def _ready_replicas(installation: Installation, component: str) -> int:
    return int(_deployment_status(installation, component).get("readyReplicas", 0))


def _is_rolled_out(installation: Installation, component: str) -> bool:
    live = installation.child(DEPLOYMENT, names.workload(installation.name, component))
    if live is None:
        return False
    status, wanted = live.get("status") or {}, live["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) == wanted
        and status.get("readyReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
    )
