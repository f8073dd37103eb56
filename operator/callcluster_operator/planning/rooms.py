"""Declared rooms: who is in them, and when they end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from callcluster_common.directive import RoomRule
from callcluster_common.room_names import room_key

from callcluster_operator.api import conditions
from callcluster_operator.api.conditions import Condition
from callcluster_operator.api.parse import parse_room
from callcluster_operator.api.times import seconds_of, timestamp
from callcluster_operator.api.v1alpha1 import RoomSpec
from callcluster_operator.objects import Object, ref_of
from callcluster_operator.plan import Delete, Plan, WriteStatus
from callcluster_operator.planning import directives, server_status, sfu, signaling
from callcluster_operator.planning.fleet import Tier
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.sfu import SFUServer

ASK_AGAIN_SECONDS = 30
"""How often signaling is asked again to end a room that somebody is still in."""
LOOK_SECONDS = 1.0
"""How soon to look again whether signaling has ended a room: no event tells."""
HURRY_SECONDS = 60.0
"""For how long; what takes longer hangs, and waits for the ordinary round."""


@dataclass(frozen=True)
class History:
    """What is known of one room's life. Times are Unix seconds."""

    open_since: float | None = None
    """Since when members can join without a break; ``None`` while they can't."""
    participants: int = 0
    started: float | None = None
    active: float | None = None
    """When the room was last seen to fill or to empty."""
    completed: float | None = None
    """When it was found that the room has to end; :attr:`finished` follows."""
    close_reason: str | None = None
    finished: bool = False
    """Whether nobody is in any more, and all of signaling knows that nobody may come in."""


@dataclass(frozen=True)
class OwnSFU:
    """What a room's status says of the SFU that it has for itself."""

    shown: Mapping[str, Any] = field(default_factory=dict)
    """Empty where it has none."""
    condition: Condition | None = None
    """``None`` where it is to have none."""


@dataclass(frozen=True)
class Decision:
    """What is to be done about one room."""

    history: History = History()
    steps: tuple[Delete | WriteStatus, ...] = ()
    rule: RoomRule | None = None
    """What signaling is told."""
    wake_at: float | None = None


def with_own_sfu(installation: Installation, salt: str) -> frozenset[str]:
    """Opaque names of the rooms that are to have an SFU of their own: open ones that ask for it.

    Args:
        installation: the CallCluster.
        salt: as for :func:`decide`.
    """
    return frozenset(
        room_key(salt.encode(), room["metadata"]["name"])
        for room in installation.observed.rooms
        if "deletionTimestamp" not in room["metadata"]
        and _is_dedicated(room)
        and room["spec"].get("state") != "Closed"
        and _history(room).completed is None
    )


def decide(installation: Installation, salt: str, sfus: sfu.Decision, *, is_open: bool) -> list[Decision]:
    """What is to be done about the rooms of a CallCluster, in the order of their names.

    Args:
        installation: the CallCluster.
        salt: under which signaling makes opaque names of room ids.
        sfus: what is done about the SFUs.
        is_open: whether members can join at all.
    """
    reported: dict[str, int] = {}
    for pod in installation.signaling_pods():
        report = installation.signaling_report(pod)
        for key, count in (report.rooms if report else {}).items():
            reported[key] = reported.get(key, 0) + count
    complete = signaling.all_report(installation)
    told = _told_rules(installation)
    is_heard = directives.is_followed(installation, directives.live(installation))
    decisions = []
    for room in sorted(installation.observed.rooms, key=lambda room: str(room["metadata"]["name"])):
        if "deletionTimestamp" in room["metadata"]:
            continue
        if installation.spec.paused:
            decisions.append(Decision(_history(room)))
            continue
        name = room["metadata"]["name"]
        key = room_key(salt.encode(), name)
        # A room that was made for a call has its opaque name already.
        count = reported.get(key, 0) + (reported.get(name, 0) if name != key else 0)
        participants = count if count or complete else None
        rule = told.get(key)
        decisions.append(
            _decide(
                room,
                key,
                participants,
                installation.now,
                own=_own_sfu(installation, sfus.own.get(key, Tier((), ())), room),
                is_open=is_open,
                asked=rule.asked if rule else 0,
                is_shut=is_heard and rule is not None and rule.closed,
            )
        )
    return decisions


def plan_orphan(room: Object, now: float) -> Plan:
    """A room whose CallCluster does not exist: say so, and let it end, but not as empty."""
    if "deletionTimestamp" in room["metadata"]:
        return Plan()
    spec = parse_room(room)
    if isinstance(spec, tuple):
        return Plan(_invalid_steps(room, str(spec[0]), now))
    # Nobody serves it, so nobody is in it, and nobody can come in.
    history = _live_on(_history(room), spec, 0, now, is_open=False, is_shut=True)
    missing = Condition(
        conditions.READY,
        "False",
        "ClusterNotFound",
        f"there is no CallCluster {spec.cluster_ref.name} in this namespace: make one or delete the room",
    )
    steps, wake_at = _outcome(room, spec, history, missing, OwnSFU(), now)
    return Plan(steps, None if wake_at is None else max(0.0, wake_at - now))


def _decide(
    room: Object,
    key: str,
    participants: int | None,
    now: float,
    *,
    own: OwnSFU,
    is_open: bool,
    asked: int,
    is_shut: bool,
) -> Decision:
    spec = parse_room(room)
    if isinstance(spec, tuple):
        return Decision(_history(room), _invalid_steps(room, str(spec[0]), now))
    history = _live_on(_history(room), spec, participants, now, is_open=is_open, is_shut=is_shut)
    ready = (
        Condition(conditions.READY, "True", "Active", "members can join")
        if is_open
        else Condition(conditions.READY, "False", "PodsNotReady", "no signaling pod takes sessions")
    )
    steps, wake_at = _outcome(room, spec, history, ready, own, now)
    rule = RoomRule(key, spec.max_participants, own_sfu=spec.isolation == "Dedicated")
    if history.completed is None:
        return Decision(history, steps, rule, wake_at)
    if history.participants:
        asked = max(asked, int((now - history.completed) / ASK_AGAIN_SECONDS))
    return Decision(history, steps, msgspec.structs.replace(rule, closed=True, asked=asked), wake_at)


def _own_sfu(installation: Installation, tier: Tier[SFUServer], room: Object) -> OwnSFU:
    said = server_status.media_available(installation, tier) if _is_dedicated(room) else None
    return OwnSFU(server_status.own_sfu(installation, tier), said)


def _is_dedicated(room: Object) -> bool:
    spec = parse_room(room)
    return isinstance(spec, RoomSpec) and spec.isolation == "Dedicated"


def _told_rules(installation: Installation) -> dict[str, RoomRule]:
    """What signaling was told last of each room."""
    live = directives.live(installation)
    return {rule.key: rule for rule in live.rooms} if live else {}


def _live_on(
    before: History, spec: RoomSpec, participants: int | None, now: float, *, is_open: bool, is_shut: bool
) -> History:
    """The room's life up to now.

    Args:
        before: as it was seen last.
        spec: the room's.
        participants: ``None`` where it is not known.
        now: Unix time in seconds.
        is_open: whether members can join, as far as signaling is concerned.
        is_shut: whether all of signaling knows that nobody may come in.
    """
    open_since = (now if before.open_since is None else before.open_since) if is_open else None
    after = replace(before, open_since=open_since)
    if participants is not None:
        after = replace(after, participants=participants)
    if (after.participants > 0) != (before.participants > 0):
        after = replace(after, active=now)
    if after.participants and after.started is None:
        after = replace(after, started=now, active=now)
    if after.completed is None:
        reason = _end(after, spec, now, is_counted=participants is not None)
        if reason is None:
            return after
        after = replace(after, completed=now, close_reason=reason)
    return replace(after, finished=not after.participants and (is_shut or before.finished))


def _end(history: History, spec: RoomSpec, now: float, *, is_counted: bool) -> str | None:
    if spec.state == "Closed":
        return "Closed"
    for reason, at in _ends(history, spec):
        # Somebody may be in on a pod that does not answer.
        if now >= at and (is_counted or reason != "Empty"):
            return reason
    return None


def _ends(history: History, spec: RoomSpec) -> Iterator[tuple[str, float]]:
    """When the room would end by itself."""
    if history.started is not None and spec.max_duration_seconds:
        yield "MaxDuration", history.started + spec.max_duration_seconds
    # That nobody is in says something only of time in which people could have come in.
    if history.open_since is not None and not history.participants and spec.empty_timeout_seconds:
        empty_since = max(history.open_since, history.active or 0.0)
        yield "Empty", empty_since + spec.empty_timeout_seconds


def _outcome(
    room: Object, spec: RoomSpec, history: History, ready: Condition, own: OwnSFU, now: float
) -> tuple[tuple[Delete | WriteStatus, ...], float | None]:
    """The steps, and when to look again."""

    def status(*said: Condition | None) -> tuple[WriteStatus, ...]:
        return tuple(_status_step(room, history, [each for each in said if each], own.shown, now))

    if history.completed is None:
        wake_at = min((at for _, at in _ends(history, spec)), default=None)
        still_on = Condition(conditions.FINISHED, "False", "Active", "the room has not ended")
        return status(ready, own.condition, still_on), wake_at
    reason = history.close_reason or "Closed"
    ended = Condition(conditions.READY, "False", reason, "the room has ended; make a new one")
    without = own.condition and Condition(conditions.MEDIA_AVAILABLE, "False", reason, "the room has ended")
    if not history.finished:
        look_at = now + LOOK_SECONDS if now - history.completed < HURRY_SECONDS else None
        return status(ended, without, _closing(history)), look_at
    expires = history.completed + spec.ttl_seconds_after_finished
    # Not before: without the object signaling would let people in again.
    if now >= expires:
        meta = room["metadata"]
        return (Delete(ref_of(room), meta["uid"], meta["resourceVersion"]),), None
    finished = Condition(conditions.FINISHED, "True", reason, conditions.REASONS[reason])
    return status(ended, without, finished), expires


def _closing(history: History) -> Condition:
    if history.participants:
        text = (
            f"{history.participants} still in: signaling has not ended the call; it is asked again "
            f"every {ASK_AGAIN_SECONDS} s, so look whether it reaches Redis"
        )
    else:
        text = "not all signaling pods have confirmed that nobody may come in any more"
    return Condition(conditions.FINISHED, "False", "Closing", text)


def _invalid_steps(room: Object, problem: str, now: float) -> tuple[WriteStatus, ...]:
    invalid = Condition(conditions.READY, "False", "InvalidSpec", problem)
    return tuple(_status_step(room, _history(room), [invalid], {}, now))


def _history(room: Object) -> History:
    status = room.get("status") or {}
    participants = status.get("participants", 0)
    said = {each["type"]: each for each in status.get("conditions", ())}
    ready = said.get(conditions.READY, {})
    return History(
        open_since=seconds_of(ready.get("lastTransitionTime")) if ready.get("status") == "True" else None,
        participants=participants if isinstance(participants, int) else 0,
        started=seconds_of(status.get("startTime")),
        active=seconds_of(status.get("lastActiveTime")),
        completed=seconds_of(status.get("completionTime")),
        close_reason=status.get("closeReason"),
        finished=said.get(conditions.FINISHED, {}).get("status") == "True",
    )


def _status_step(
    room: Object, history: History, said: list[Condition], own_sfu: Mapping[str, Any], now: float
) -> Iterator[WriteStatus]:
    before: dict[str, Any] = room.get("status") or {}
    generation = room["metadata"].get("generation", 0)
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": conditions.merge(before.get("conditions", ()), said, generation=generation, now=now),
        "participants": history.participants,
    }
    for name, time in (
        ("startTime", history.started),
        ("lastActiveTime", history.active),
        ("completionTime", history.completed),
    ):
        if time is not None:
            status[name] = timestamp(time)
    if history.close_reason is not None:
        status["closeReason"] = history.close_reason
    if own_sfu:
        status["sfu"] = dict(own_sfu)
    if status != before:
        yield WriteStatus(ref_of(room), status, room["metadata"]["resourceVersion"])
