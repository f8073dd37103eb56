"""Rooms with an SFU of their own."""

from __future__ import annotations

import base64
from typing import Any

from callcluster_common.room_names import is_room_key, room_key
from callcluster_operator.objects import POD, POD_DISRUPTION_BUDGET, ROOM, SECRET, Object, Ref
from callcluster_operator.planning import names, pods
from callcluster_operator.planning.manifests.sfu import ROOM as ROOM_VARIABLE
from kit.plan_executor import World
from kit.plan_objects import NAMESPACE, callcluster, host_ports, room

DRAIN_SECONDS = 600


def world_with(*rooms: Object, **sfu: Any) -> World:
    world = World()
    change(world, **sfu)
    for each in rooms:
        world.put(each)
    world.settle("cc")
    return world


def change(world: World, **sfu: Any) -> None:
    world.put(callcluster("cc", sfu={"drain": {"timeoutSeconds": DRAIN_SECONDS}, **sfu}))


def own(name: str = "standup", **spec: Any) -> Object:
    return room(name, isolation="Dedicated", **spec)


def key(world: World, name: str = "standup") -> str:
    secret = world.objects[Ref(SECRET, NAMESPACE, names.salt_secret("cc"))]
    return room_key(base64.b64decode(secret["data"]["salt"]), name)


def served(world: World) -> dict[str, str]:
    """By pod the only room that its SFU serves."""
    return {pod["metadata"]["name"]: pods.variable(pod, ROOM_VARIABLE) for pod in world.sfu_pods()}


def status(world: World, name: str = "standup") -> dict[str, Any]:
    found: dict[str, Any] = world.objects[Ref(ROOM, NAMESPACE, name)]["status"]
    return found


def media(world: World, name: str = "standup") -> dict[str, Any]:
    return next((c for c in status(world, name)["conditions"] if c["type"] == "MediaAvailable"), {})


def test_a_dedicated_room_gets_an_sfu_of_its_own_beside_those_that_are_shared() -> None:
    world = world_with(own(), room("social"), replicas=1)
    assert served(world) == {"cc-sfu-0": "", "cc-sfu-1": key(world)}
    assert is_room_key(key(world)), "the SFU takes that for a room's name"
    ports = [host_ports(pod) for pod in world.sfu_pods()]
    assert not ports[0] & ports[1]
    rules = {rule.key: rule.own_sfu for rule in world.directive("cc").rooms}
    assert rules == {key(world): True, key(world, "social"): False}


def test_no_shared_sfu_is_needed_for_one() -> None:
    world = world_with(own())
    assert list(served(world).values()) == [key(world)]
    assert world.condition("cc", "SFUCapacityAvailable")["reason"] == "NotRequested"
    assert world.status("cc")["sfu"]["readyReplicas"] == 0


def test_the_room_says_which_sfu_it_has_and_where() -> None:
    world = world_with(own(), replicas=1)
    assert status(world)["sfu"] == {
        "pod": "cc-sfu-1",
        "state": "Ready",
        "nodeName": "n1",
        "address": "203.0.113.1",
        "port": 28001,
    }
    assert (media(world)["status"], media(world)["reason"]) == ("True", "Available")
    (shown,) = [server for server in world.status("cc")["sfu"]["servers"] if "room" in server]
    assert (shown["name"], shown["room"]) == ("cc-sfu-1", key(world))


def test_a_shared_room_says_nothing_of_an_sfu() -> None:
    world = world_with(room("standup"), replicas=1)
    assert "sfu" not in status(world)
    assert media(world) == {}


def test_the_rooms_id_stands_in_no_pod_and_not_in_what_is_told_of_it() -> None:
    world = world_with(own())
    assert "standup" not in str(world.sfu_pods())
    assert "standup" not in str(world.status("cc"))


def test_without_a_free_port_the_room_says_how_to_mend_it() -> None:
    world = world_with(own(), replicas=1, portRange={"min": 28000, "max": 28000})
    assert served(world) == {"cc-sfu-0": ""}
    assert (media(world)["status"], media(world)["reason"]) == ("False", "PortsExhausted")
    assert "widen sfu.portRange" in media(world)["message"]
    assert "sfu" not in status(world)


def test_the_sfu_goes_when_the_room_has_ended_and_nobody_is_left_in_it() -> None:
    world = world_with(own())
    world.processes["cc-sfu-0"].load = 3
    world.put(own(state="Closed"))
    world.settle("cc")
    assert status(world)["sfu"]["state"] == "Draining"
    assert media(world)["reason"] == "Closed"
    world.processes["cc-sfu-0"].load = 0
    world.settle("cc")
    assert not world.sfu_pods()
    assert "sfu" not in status(world)


def test_a_room_that_ends_by_itself_takes_its_sfu_along() -> None:
    world = world_with(own(emptyTimeoutSeconds=60))
    world.now += 61
    world.settle("cc")
    assert status(world)["closeReason"] == "Empty"
    assert not world.sfu_pods()


def test_the_sfu_of_a_deleted_room_serves_its_call_to_the_end() -> None:
    world = world_with(own())
    world.processes["cc-sfu-0"].load = 3
    world._drop(Ref(ROOM, NAMESPACE, "standup"))
    world.settle("cc")
    assert list(served(world)) == ["cc-sfu-0"]
    assert world.processes["cc-sfu-0"].draining
    world.processes["cc-sfu-0"].load = 0
    world.settle("cc")
    assert not world.sfu_pods()


def test_an_sfu_that_fails_gets_a_successor_for_the_same_room() -> None:
    world = world_with(own())
    world.vanish("cc-sfu-0")
    world.settle("cc")
    assert list(served(world).values()) == [key(world)]
    assert status(world)["sfu"]["port"] == 28001, "the old port rests"


def test_a_changed_sfu_is_replaced_before_it_is_drained() -> None:
    world = world_with(own())
    world.processes["cc-sfu-0"].load = 3
    change(world, logLevel="debug")
    for _ in range(4):
        world.pass_over("cc")
        world.work()
    assert set(served(world).values()) == {key(world)}
    states = {server["name"]: server["state"] for server in world.status("cc")["sfu"]["servers"]}
    assert states == {"cc-sfu-0": "Draining", "cc-sfu-1": "Ready"}
    assert status(world)["sfu"]["pod"] == "cc-sfu-1"


def test_fewer_shared_sfus_cost_no_room_its_own() -> None:
    world = world_with(own(), replicas=2)
    change(world, replicas=0)
    world.settle("cc")
    assert list(served(world).values()) == [key(world)]


def test_a_node_drain_takes_one_sfu_at_a_time_whosever_it_is() -> None:
    world = world_with(own(), replicas=1)
    budget = Ref(POD_DISRUPTION_BUDGET, NAMESPACE, "cc-sfu")
    assert world.objects[budget]["spec"]["minAvailable"] == 1


def test_no_sfu_is_made_for_a_name_that_is_not_kept() -> None:
    """Somebody else's Secret has the name of ours: each pass would name the room anew."""
    world = World()
    taken = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names.salt_secret("cc"),
            "namespace": NAMESPACE,
            "labels": names.selector("cc"),
            "ownerReferences": [{"uid": "somebody", "controller": True}],
        },
    }
    world.put(taken)
    change(world)
    world.put(own())
    for _ in range(4):
        world.pass_over("cc")
        world.work()
    assert not world.sfu_pods()


def test_a_label_that_was_edited_is_mended_and_says_nothing_of_whose_the_sfu_is() -> None:
    world = world_with(own(), own("social"))
    before = served(world)
    for name in before:
        world.edit(
            Ref(POD, NAMESPACE, name),
            lambda pod: pod["metadata"]["labels"].update({names.ROOM_LABEL: "r-elsewhere"}),
        )
    world.settle("cc")
    assert served(world) == before
    labels = {pod["metadata"]["name"]: pod["metadata"]["labels"] for pod in world.sfu_pods()}
    assert {name: each[names.ROOM_LABEL] for name, each in labels.items()} == before
