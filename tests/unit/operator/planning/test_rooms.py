"""What happens to declared rooms."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from callcluster_common.room_names import room_key
from callcluster_operator.api.times import timestamp
from callcluster_operator.objects import CONFIG_MAP, ROOM, SECRET, Object, Ref
from callcluster_operator.plan import Delete, WriteStatus
from callcluster_operator.planning import names
from callcluster_operator.planning.rooms import plan_orphan
from kit.plan_executor import World
from kit.plan_objects import NAMESPACE, callcluster, room

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


def test_while_no_signaling_pod_reaches_redis_nobody_can_join_and_the_status_says_so() -> None:
    world = world_with()
    signaling = [process for name, process in world.processes.items() if "-signaling-" in name]
    signaling[0].bus_up = False
    world.settle("cc")
    assert ready(world.objects[STANDUP]) == ("True", "Active"), "the other pod still does"
    for process in signaling:
        process.bus_up = False
    world.settle("cc")
    assert ready(world.objects[STANDUP])[0] == "False"
    told = world.condition("cc", "SignalingAvailable")
    assert (told["status"], told["reason"]) == ("False", "RedisNotReady")
    assert world.condition("cc", "Ready")["reason"] == "RedisNotReady"


def test_participants_of_all_pods_are_counted() -> None:
    world = world_with()
    people(world, 2, 3)
    assert status(world)["participants"] == 5
    assert status(world)["startTime"] == status(world)["lastActiveTime"] == timestamp(world.now)
    assert world.status("cc")["rooms"] == {"open": 1, "occupied": 1, "participants": 5}


def test_a_room_that_nobody_joins_ends_when_its_time_is_up() -> None:
    world = world_with(emptyTimeoutSeconds=100)
    world.now += 99
    people(world, 0, 0)
    assert "completionTime" not in status(world)
    assert world.pass_over("cc").wake_after == pytest.approx(1)
    world.now += 1
    people(world, 0, 0)
    assert (status(world)["closeReason"], "startTime" in status(world)) == ("Empty", False)


def test_a_room_does_not_end_as_empty_before_anybody_could_join() -> None:
    world = World()
    world.put(callcluster("cc"))
    world.put(room("standup", emptyTimeoutSeconds=100))
    world.pass_over("cc")
    world.now += 1000
    world.pass_over("cc")
    assert ready(world.objects[STANDUP])[0] == "False"
    world.settle("cc")
    assert ready(world.objects[STANDUP]) == ("True", "Active"), "signaling is there, after the timeout"
    world.now += 99
    people(world, 0, 0)
    assert "completionTime" not in status(world)
    world.now += 1
    people(world, 0, 0)
    assert status(world)["closeReason"] == "Empty"


def test_a_room_does_not_end_as_empty_while_there_is_no_signaling_pod() -> None:
    world = world_with(emptyTimeoutSeconds=100)
    people(world, 1, 0)
    signaling = [name for name in world.processes if "-signaling-" in name]
    for name in signaling:
        world.vanish(name)
    world.pass_over("cc")
    assert ready(world.objects[STANDUP]) == ("False", "PodsNotReady"), "whatever the Deployment still says"
    world.now += 1000
    world.pass_over("cc")
    assert "completionTime" not in status(world)
    world.settle("cc")
    world.now += 99
    people(world, 0, 0)
    assert "completionTime" not in status(world), "counted from when members could join again"
    world.now += 1
    people(world, 0, 0)
    assert status(world)["closeReason"] == "Empty"


def test_a_room_does_not_end_as_empty_while_signaling_lacks_redis() -> None:
    world = world_with(emptyTimeoutSeconds=100)
    for process in world.processes.values():
        process.bus_up = False
    world.now += 1000
    people(world, 0, 0)
    assert "completionTime" not in status(world)


def test_a_room_without_an_empty_timeout_waits_for_ever() -> None:
    world = world_with(emptyTimeoutSeconds=0)
    world.now += 10_000_000
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


@pytest.mark.parametrize("before", [2, 0])
def test_a_room_is_not_taken_for_empty_while_a_pod_does_not_report(before: int) -> None:
    world = world_with(emptyTimeoutSeconds=10)
    people(world, before, 0)
    for process in world.processes.values():
        process.reports = False
    world.now += 1000
    world.pass_over("cc")
    assert status(world)["participants"] == before
    assert "completionTime" not in status(world)


def test_a_room_ends_after_its_longest_time() -> None:
    world = world_with(maxDurationSeconds=60)
    people(world, 1, 1)
    world.now += 60
    people(world, 1, 1)
    assert status(world)["closeReason"] == "MaxDuration"
    assert world.directive("cc").rooms[0].closed


def test_a_closed_room_is_deleted_after_its_time_but_not_under_anybody() -> None:
    world = world_with(ttlSecondsAfterFinished=60)
    people(world, 1, 0)
    close(world)
    assert status(world)["closeReason"] == "Closed"
    world.now += 61
    world.settle("cc")
    assert STANDUP in world.objects, "without the object signaling would not close it"
    people(world, 0, 0)
    assert STANDUP not in world.objects
    world.settle("cc")
    assert world.directive("cc").rooms == ()


def close(world: World) -> None:
    world.edit(STANDUP, lambda found: found["spec"].update(state="Closed"))
    world.settle("cc")


def finished(world: World) -> tuple[str, str]:
    condition = next(c for c in status(world)["conditions"] if c["type"] == "Finished")
    return condition["status"], condition["reason"]


def test_a_closed_room_is_finished_when_every_signaling_pod_knows_and_nobody_is_in() -> None:
    world = world_with()
    people(world, 1, 0)
    world.edit(STANDUP, lambda found: found["spec"].update(state="Closed"))
    world.pass_over("cc")
    assert world.directive("cc").rooms[0].closed
    people(world, 0, 0)
    assert finished(world) == ("False", "Closing"), "no pod has read the directive"
    world.work()
    people(world, 1, 0)
    assert finished(world) == ("False", "Closing"), "somebody came in before"
    people(world, 0, 0)
    assert finished(world) == ("True", "Closed")


def test_signaling_is_asked_again_until_it_has_ended_a_closed_room() -> None:
    world = world_with()
    people(world, 2, 0)
    close(world)
    asked = []
    for _ in range(4):
        asked.append(world.directive("cc").rooms[0].asked)
        assert finished(world) == ("False", "Closing")
        world.now += 30
        world.settle("cc")
    assert asked == [0, 1, 2, 3]
    people(world, 0, 0)
    world.settle("cc")
    assert finished(world) == ("True", "Closed")
    writes = len(world.writes)
    world.now += 300
    world.settle("cc")
    assert len(world.writes) == writes, "nobody is asked any more"


@pytest.mark.parametrize("hangs", ["people stay", "a pod is silent"])
def test_a_room_that_hangs_while_it_closes_is_looked_at_less_often_after_a_minute(hangs: str) -> None:
    world = world_with()
    people(world, 1, 0)
    if hangs == "a pod is silent":
        next(process for name, process in world.processes.items() if "-signaling-" in name).reports = False
    close(world)
    assert finished(world) == ("False", "Closing")
    assert world.pass_over("cc").wake_after == 1
    world.now += 59
    world.settle("cc")
    assert world.pass_over("cc").wake_after == 1
    world.now += 1
    world.settle("cc")
    assert finished(world) == ("False", "Closing")
    assert world.pass_over("cc").wake_after == 10


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


def test_a_room_without_its_callcluster_does_not_end_as_empty_but_after_its_longest_time() -> None:
    world = world_with(emptyTimeoutSeconds=10, maxDurationSeconds=3600)
    people(world, 1, 0)
    world.now += 60
    world.execute(plan_orphan(world.objects[STANDUP], world.now))
    assert status(world)["participants"] == 0
    world.now += 1000
    world.execute(plan_orphan(world.objects[STANDUP], world.now))
    assert "completionTime" not in status(world)
    world.settle("cc")
    assert ready(world.objects[STANDUP]) == ("True", "Active"), (
        "the CallCluster is back, and so is the room"
    )
    world.now += 2540
    world.execute(plan_orphan(world.objects[STANDUP], world.now))
    assert status(world)["closeReason"] == "MaxDuration"


def test_a_finished_room_without_its_callcluster_is_deleted_in_time() -> None:
    world = World()
    world.put(room("standup", state="Closed", ttlSecondsAfterFinished=60))
    planned = plan_orphan(world.objects[STANDUP], world.now)
    world.execute(planned)
    assert planned.wake_after == 60
    assert plan_orphan(world.objects[STANDUP], world.now + 59).is_empty
    (step,) = plan_orphan(world.objects[STANDUP], world.now + 60).steps
    assert isinstance(step, Delete)
