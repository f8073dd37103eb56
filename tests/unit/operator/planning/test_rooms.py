"""What happens to declared rooms."""

from __future__ import annotations

import base64
from typing import Any

from callcluster_common.room_names import room_key
from callcluster_operator.api.times import timestamp
from callcluster_operator.objects import CONFIG_MAP, ROOM, SECRET, Object, Ref
from callcluster_operator.plan import Delete, WriteStatus
from callcluster_operator.planning import names
from callcluster_operator.planning.rooms import plan_orphan
from kit.plan_executor import NAMESPACE, World, callcluster, room

STANDUP = Ref(ROOM, NAMESPACE, "standup")


def world_with(**spec: Any) -> World:
    world = World()
    world.put(callcluster("cc"))
    world.put(room("standup", **spec))
    world.settle("cc")
    return world


def key(world: World) -> bytes:
    data = world.objects[Ref(SECRET, NAMESPACE, names.salt_secret("cc"))]["data"]["salt"]
    return base64.b64decode(data)


def people(world: World, *counts: int) -> None:
    """So many on each signaling pod."""
    opaque = room_key(key(world), "standup")
    pods = sorted(name for name in world.processes if "-signaling-" in name)
    for name, count in zip(pods, counts, strict=False):
        world.processes[name].rooms = {opaque: count} if count else {}
    world.pass_over("cc")


def status(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.objects[STANDUP]["status"]
    return found


def ready(obj: Object) -> tuple[str, str]:
    condition = next(c for c in obj["status"]["conditions"] if c["type"] == "Ready")
    return condition["status"], condition["reason"]


def test_an_open_room_is_ready_and_signaling_knows_its_limit_by_an_opaque_name() -> None:
    world = world_with(maxParticipants=7)
    assert ready(world.objects[STANDUP]) == ("True", "Active")
    (rule,) = world.directive("cc").rooms
    assert (rule.key, rule.max_participants, rule.closed) == (room_key(key(world), "standup"), 7, False)
    assert "standup" not in str(world.objects[Ref(CONFIG_MAP, NAMESPACE, names.directive_config_map("cc"))])


def test_participants_of_all_pods_are_counted() -> None:
    world = world_with()
    people(world, 2, 3)
    assert status(world)["participants"] == 5
    assert status(world)["startTime"] == status(world)["lastActiveTime"] == timestamp(world.now)
    assert world.status("cc")["rooms"] == {"open": 1, "occupied": 1, "participants": 5}


def test_a_room_that_nobody_has_joined_waits() -> None:
    world = world_with(emptyTimeoutSeconds=10)
    world.now += 100_000
    people(world, 0, 0)
    assert "completionTime" not in status(world)


def test_a_room_ends_when_it_has_been_empty_for_its_time() -> None:
    world = world_with(emptyTimeoutSeconds=100)
    people(world, 1, 0)
    world.now += 1000
    people(world, 0, 0)
    world.now += 99
    people(world, 0, 0)
    assert "completionTime" not in status(world)
    world.now += 1
    people(world, 0, 0)
    assert status(world)["closeReason"] == "Empty"
    assert ready(world.objects[STANDUP]) == ("False", "Empty")
    assert world.directive("cc").rooms[0].closed


def test_a_room_is_not_taken_for_empty_while_a_pod_does_not_report() -> None:
    world = world_with(emptyTimeoutSeconds=10)
    people(world, 2, 0)
    for process in world.processes.values():
        process.reports = False
    world.now += 1000
    world.pass_over("cc")
    assert status(world)["participants"] == 2
    assert "completionTime" not in status(world)


def test_a_room_ends_after_its_longest_time() -> None:
    world = world_with(maxDurationSeconds=60)
    people(world, 1, 1)
    world.now += 60
    people(world, 1, 1)
    assert status(world)["closeReason"] == "MaxDuration"
    assert world.directive("cc").rooms[0].closed


def test_a_closed_room_is_deleted_after_its_time_but_not_under_anybody() -> None:
    world = world_with(state="Closed", ttlSecondsAfterFinished=60)
    assert status(world)["closeReason"] == "Closed"
    people(world, 1, 0)
    world.now += 61
    people(world, 1, 0)
    assert STANDUP in world.objects, "without the object signaling would not close it"
    people(world, 0, 0)
    assert STANDUP not in world.objects
    world.settle("cc")
    assert world.directive("cc").rooms == ()


def test_an_ended_room_does_not_open_again() -> None:
    world = world_with(maxDurationSeconds=60)
    people(world, 1)
    world.now += 60
    people(world, 0)
    world.edit(STANDUP, lambda found: found["spec"].update(maxDurationSeconds=0))
    world.settle("cc")
    assert status(world)["closeReason"] == "MaxDuration"


def test_nothing_is_written_while_the_same_people_talk() -> None:
    world = world_with()
    people(world, 2, 1)
    world.settle("cc")
    writes = len(world.writes)
    world.now += 50
    assert world.pass_over("cc").is_empty
    assert len(world.writes) == writes


def test_a_room_with_a_spec_from_another_time_says_so() -> None:
    world = world_with(maxParticipants=-1)
    assert ready(world.objects[STANDUP]) == ("False", "InvalidSpec")


def test_a_room_without_its_callcluster_says_so_once() -> None:
    world = World()
    made = world.put(room("standup"))
    planned = plan_orphan(made, world.now)
    (step,) = planned.steps
    assert isinstance(step, WriteStatus)
    assert ready({"status": step.status}) == ("False", "ClusterNotFound")
    world.execute(planned)
    assert plan_orphan(world.objects[STANDUP], world.now + 100).is_empty


def test_a_finished_room_without_its_callcluster_is_deleted_in_time() -> None:
    world = World()
    world.put(room("standup", state="Closed", ttlSecondsAfterFinished=60))
    planned = plan_orphan(world.objects[STANDUP], world.now)
    world.execute(planned)
    assert planned.wake_after == 60
    assert plan_orphan(world.objects[STANDUP], world.now + 59).is_empty
    (step,) = plan_orphan(world.objects[STANDUP], world.now + 60).steps
    assert isinstance(step, Delete)
