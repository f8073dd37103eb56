"""How TURN servers come, change and take leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from callcluster_operator.objects import NODE, POD, Object, Ref, ref_of
from callcluster_operator.plan import Delete, Drain
from callcluster_operator.planning import names
from callcluster_operator.planning.plan import plan
from kit.plan_executor import World
from kit.plan_objects import NAMESPACE, callcluster, node_object

DRAIN_SECONDS = 600


def world_with(nodes: int = 2, **turn: Any) -> World:
    world = World([f"n{number}" for number in range(nodes)])
    change(world, **turn)
    world.settle("cc")
    return world


def change(world: World, **turn: Any) -> None:
    world.put(callcluster("cc", turn={"drain": {"timeoutSeconds": DRAIN_SECONDS}, **turn}))


def pod_names(world: World) -> list[str]:
    return [pod["metadata"]["name"] for pod in world.turn_pods()]


def states(world: World) -> dict[str, str]:
    return {server["name"]: server["state"] for server in world.status("cc")["turn"]["servers"]}


def pod(world: World, name: str) -> Object:
    return world.objects[Ref(POD, NAMESPACE, name)]


def passes(world: World, count: int = 3) -> None:
    for _ in range(count):
        world.pass_over("cc")
        world.work()


def test_each_server_gets_a_slot_of_its_own() -> None:
    world = world_with(replicas=3)
    told = [(s["slot"], s["listeningPort"], s["relayPorts"]) for s in world.status("cc")["turn"]["servers"]]
    assert told == [(0, 3478, "20000-20999"), (1, 3480, "21000-21999"), (2, 3482, "22000-22999")]


def test_a_changed_server_is_replaced_before_it_is_drained() -> None:
    world = world_with(replicas=1)
    world.processes["cc-turn-0"].load = 5
    change(world, replicas=1, quota={"allocationsPerUser": 24})
    world.pass_over("cc")
    assert pod_names(world) == ["cc-turn-0", "cc-turn-1"]
    assert names.DRAIN_STARTED not in pod(world, "cc-turn-0")["metadata"]["annotations"]
    assert len(world.directive("cc").stun_uris) == 1, "the old one serves until the new one does"
    passes(world)
    assert states(world) == {"cc-turn-0": "Draining", "cc-turn-1": "Ready"}
    assert world.directive("cc").stun_uris == ("stun:203.0.113.1:3480",)
    assert world.processes["cc-turn-0"].draining


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_while_servers_are_replaced_as_many_take_sessions_as_are_wanted(replicas: int) -> None:
    world = world_with(replicas=replicas)
    change(world, replicas=replicas, logLevel="debug")
    for _ in range(12):
        world.pass_over("cc")
        assert len(world.directive("cc").stun_uris) >= replicas
        world.work()
    assert all(server["state"] == "Ready" for server in world.status("cc")["turn"]["servers"])
    assert {
        container["name"]: variable["value"]
        for pod in world.turn_pods()
        for container in pod["spec"]["containers"]
        for variable in container["env"]
        if variable["name"] == "LOG_LEVEL"
    } == {"turn": "debug"}


def test_a_draining_server_goes_when_its_last_relay_has_ended() -> None:
    world = world_with(replicas=1)
    world.processes["cc-turn-0"].load = 1
    change(world, replicas=1, logLevel="debug")
    passes(world, 4)
    assert "cc-turn-0" in pod_names(world)
    world.processes["cc-turn-0"].load = 0
    passes(world, 2)
    assert pod_names(world) == ["cc-turn-1"]


def test_a_draining_server_goes_at_its_deadline_and_not_before() -> None:
    world = world_with(replicas=1)
    world.processes["cc-turn-0"].load = 1
    change(world, replicas=1, logLevel="debug")
    passes(world, 4)
    world.now += DRAIN_SECONDS - 1
    passes(world)
    assert "cc-turn-0" in pod_names(world)
    world.now += 2
    passes(world)
    assert pod_names(world) == ["cc-turn-1"]


def test_a_server_whose_allocations_are_not_known_waits_for_its_deadline() -> None:
    world = world_with(replicas=1)
    change(world, replicas=0)
    world.pass_over("cc")
    world.processes["cc-turn-0"].reports = False
    passes(world)
    assert states(world) == {"cc-turn-0": "Draining"}
    world.now += DRAIN_SECONDS + 1
    passes(world)
    assert pod_names(world) == []


def test_scaling_in_takes_the_server_with_the_fewest_relays() -> None:
    world = world_with(replicas=3)
    for number, load in enumerate((7, 1, 4)):
        world.processes[f"cc-turn-{number}"].load = load
    change(world, replicas=2)
    passes(world)
    assert states(world) == {"cc-turn-0": "Ready", "cc-turn-1": "Draining", "cc-turn-2": "Ready"}


def test_a_drain_is_told_again_until_the_server_says_so() -> None:
    world = world_with(replicas=1)
    world.processes["cc-turn-0"].load = 1
    change(world, replicas=0)
    world.pass_over("cc")
    world.processes["cc-turn-0"].draining = False  # the agent was restarted
    steps = plan(world.observe("cc")).steps
    assert [type(step) for step in steps].count(Drain) == 1


def test_a_lost_server_is_replaced() -> None:
    world = world_with(replicas=2)
    world.vanish("cc-turn-0")
    world.settle("cc")
    assert pod_names(world) == ["cc-turn-0", "cc-turn-1"]


def test_a_failed_server_is_replaced_after_a_rest() -> None:
    world = world_with(replicas=1)
    world.now += 5
    world.fail("cc-turn-0")
    passes(world)
    assert states(world) == {"cc-turn-0": "Failed"}
    world.now += 6
    world.settle("cc")
    assert list(states(world).values()) == ["Ready"]


def test_a_server_that_somebody_deletes_gets_a_successor_at_once() -> None:
    world = world_with(replicas=1)
    world.edit(
        Ref(POD, NAMESPACE, "cc-turn-0"), lambda pod: pod["metadata"].update(deletionTimestamp="now")
    )
    world.pass_over("cc")
    assert pod_names(world) == ["cc-turn-0", "cc-turn-1"]


def test_with_one_slot_the_old_server_stays_and_the_status_says_why() -> None:
    world = world_with(nodes=1, replicas=1, relayPortRange={"min": 20000, "max": 20999})
    change(world, replicas=1, relayPortRange={"min": 20000, "max": 20999}, logLevel="debug")
    passes(world)
    assert states(world) == {"cc-turn-0": "Ready"}
    said = world.condition("cc", "Progressing")
    assert (said["status"], said["reason"]) == ("True", "PortsExhausted")
    assert "widen turn.relayPortRange" in said["message"]


def test_a_useless_server_gives_its_only_slot_to_its_successor() -> None:
    world = world_with(nodes=1, replicas=1, relayPortRange={"min": 20000, "max": 20999})
    world.edit(
        Ref(POD, NAMESPACE, "cc-turn-0"),
        lambda pod: pod["status"].update(
            conditions=[], containerStatuses=[{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
        ),
    )
    change(world, replicas=1, relayPortRange={"min": 20000, "max": 20999}, logLevel="debug")
    world.pass_over("cc")
    assert "deletionTimestamp" in pod(world, "cc-turn-0")["metadata"]


def test_the_address_is_written_once_the_server_has_a_node() -> None:
    world = World(["n0"])
    change(world, replicas=1)
    world.pass_over("cc")
    assert names.EXTERNAL_ADDRESS not in pod(world, "cc-turn-0")["metadata"]["annotations"]
    passes(world)
    assert pod(world, "cc-turn-0")["metadata"]["annotations"][names.EXTERNAL_ADDRESS] == "203.0.113.1"


def test_a_server_that_clients_reach_at_its_own_address_is_told_none() -> None:
    world = World([])
    world.put(node_object("n0", "10.0.0.1"))
    change(world, replicas=1)
    world.settle("cc")
    assert pod(world, "cc-turn-0")["metadata"]["annotations"][names.EXTERNAL_ADDRESS] == "none"
    assert world.directive("cc").stun_uris == ("stun:10.0.0.1:3478",)


def test_without_an_address_a_server_waits_and_the_status_says_for_what() -> None:
    world = World([])
    world.put(node_object("n0", "10.0.0.1"))
    world.put(callcluster("cc", addressing={"sources": ["NodeExternalIP"]}))
    passes(world, 5)
    assert world.directive("cc").turn_uris == ()
    assert world.condition("cc", "AddressesResolved")["reason"] == "NoExternalAddress"
    world.edit(
        Ref(NODE, "", "n0"),
        lambda node: node["status"]["addresses"].append({"type": "ExternalIP", "address": "203.0.113.9"}),
    )
    world.settle("cc")
    assert world.condition("cc", "AddressesResolved")["status"] == "True"


def test_a_server_is_replaced_when_its_address_changes_but_not_while_none_is_known() -> None:
    world = World(["n0"])
    world.put(callcluster("cc", addressing={"sources": ["NodeExternalIP"]}))
    world.settle("cc")

    def set_external(*addresses: str) -> None:
        listed = [{"type": "InternalIP", "address": "10.0.0.1"}]
        listed += [{"type": "ExternalIP", "address": address} for address in addresses]
        world.edit(Ref(NODE, "", "n0"), lambda node: node["status"].update(addresses=listed))
        world.settle("cc")

    set_external()
    assert pod_names(world) == ["cc-turn-0"]
    assert world.directive("cc").stun_uris == ("stun:203.0.113.1:3478",)
    set_external("203.0.113.77", "203.0.113.1")
    assert pod_names(world) == ["cc-turn-0"], "its address is still one of the node's"
    set_external("203.0.113.77")
    assert pod_names(world) == ["cc-turn-1"]
    assert world.directive("cc").stun_uris == ("stun:203.0.113.77:3480",)


def test_metadata_that_somebody_removes_comes_back_and_the_spec_is_left_alone() -> None:
    world = world_with(replicas=1)
    before = pod(world, "cc-turn-0")

    def strip(pod: Object) -> None:
        del pod["metadata"]["ownerReferences"]
        del pod["metadata"]["labels"][names.SLOT_LABEL]

    world.edit(Ref(POD, NAMESPACE, "cc-turn-0"), strip)
    world.settle("cc")
    mended = pod(world, "cc-turn-0")
    assert pod_names(world) == ["cc-turn-0"]
    assert mended["spec"] == before["spec"]
    assert mended["metadata"]["labels"] == before["metadata"]["labels"]
    assert mended["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda spec: spec["containers"][0].update(image="somebody/else:1"),
        lambda spec: spec.update(activeDeadlineSeconds=60),
    ],
    ids=["image", "deadline"],
)
def test_a_server_that_somebody_edited_gets_a_successor_and_keeps_its_calls(
    edit: Callable[[Object], None],
) -> None:
    world = world_with(replicas=1)
    world.processes["cc-turn-0"].load = 5
    world.edit(Ref(POD, NAMESPACE, "cc-turn-0"), lambda found: edit(found["spec"]))
    passes(world)
    assert states(world) == {"cc-turn-0": "Draining", "cc-turn-1": "Ready"}
    world.processes["cc-turn-0"].load = 0
    world.settle("cc")
    assert states(world) == {"cc-turn-1": "Ready"}


def test_a_server_that_a_webhook_changed_when_it_was_let_in_stays() -> None:
    world = World(["n1"])
    change(world, replicas=1)
    world.pass_over("cc")
    mirrored = {"image": "mirror.example/turn:1"}
    world.edit(
        Ref(POD, NAMESPACE, "cc-turn-0"), lambda found: found["spec"]["containers"][0].update(mirrored)
    )
    world.settle("cc")
    assert states(world) == {"cc-turn-0": "Ready"}
    assert pod(world, "cc-turn-0")["spec"]["containers"][0]["image"] == mirrored["image"]


def test_a_pod_of_somebody_else_with_our_labels_is_left_alone() -> None:
    world = world_with(replicas=1)
    stranger = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "stranger",
            "namespace": NAMESPACE,
            "labels": names.labels("cc", names.TURN),
            "ownerReferences": [{"uid": "other", "controller": True}],
        },
        "spec": {"containers": []},
    }
    world.put(stranger)
    planned = plan(world.observe("cc"))
    assert not any(isinstance(step, Delete) and step.ref == ref_of(stranger) for step in planned.steps)


def test_a_server_on_ports_of_another_callcluster_moves_if_its_name_is_later() -> None:
    world = World(["n0"])
    ranges = {"relayPortRange": {"min": 20000, "max": 23999}}
    world.put(callcluster("cc", turn=ranges))
    world.put(callcluster("other", turn={**ranges, "listeningPort": 4000}))
    # Both plan without having seen the other: what the reconciler's lock prevents.
    first, second = plan(world.observe("cc")), plan(world.observe("other"))
    world.execute(first)
    world.execute(second)
    world.settle("cc", "other")
    slots = {
        pod["metadata"]["name"]: pod["metadata"]["labels"][names.SLOT_LABEL] for pod in world.turn_pods()
    }
    assert slots == {"cc-turn-0": "0", "other-turn-1": "1"}


@pytest.mark.parametrize(("ready", "reports", "told"), [(True, False, True), (False, True, False)])
def test_a_server_that_stops_reporting_keeps_its_sessions_but_one_that_is_not_ready_gets_none(
    ready: bool, reports: bool, told: bool
) -> None:
    world = world_with(replicas=1)
    world.processes["cc-turn-0"].reports = reports
    status = "True" if ready else "False"
    world.edit(
        Ref(POD, NAMESPACE, "cc-turn-0"),
        lambda pod: pod["status"].update(conditions=[{"type": "Ready", "status": status}]),
    )
    world.pass_over("cc")
    assert bool(world.directive("cc").turn_uris) == told


def test_a_server_that_never_reported_gets_no_sessions() -> None:
    world = World(["n0"])
    change(world, replicas=1)
    for _ in range(4):
        world.pass_over("cc")
        world.work()
        for process in world.processes.values():
            process.reports = False
    assert world.directive("cc").turn_uris == ()
    assert world.condition("cc", "TURNAvailable")["reason"] == "NotReporting"


def test_tls_gives_a_uri_by_name() -> None:
    world = World(["n0"])
    world.put(callcluster("cc", tls={"secretRef": {"name": "turn-tls"}}))
    world.settle("cc")
    assert world.directive("cc").turn_uris == (
        "turn:203.0.113.1:3478?transport=udp",
        "turn:203.0.113.1:3478?transport=tcp",
        "turns:turn.calls.example.org:5349?transport=tcp",
    )


def test_an_address_of_version_6_is_bracketed() -> None:
    world = World([])
    world.put(node_object("n0", "10.0.0.1", "2001:db8::7"))
    change(world, replicas=1)
    world.settle("cc")
    assert world.directive("cc").stun_uris == ("stun:[2001:db8::7]:3478",)
