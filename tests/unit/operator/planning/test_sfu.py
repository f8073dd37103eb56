"""How SFUs come, change and take leave."""

from __future__ import annotations

from typing import Any

import pytest
from callcluster_operator.objects import POD, SERVICE_ACCOUNT, Object, Ref, ref_of
from callcluster_operator.plan import Delete, Drain
from callcluster_operator.planning import names
from callcluster_operator.planning.plan import plan
from kit.plan_executor import World
from kit.plan_objects import NAMESPACE, callcluster, host_ports

DRAIN_SECONDS = 600
CAPACITY = "SFUCapacityAvailable"


def change(world: World, **sfu: Any) -> None:
    world.put(callcluster("cc", sfu={"drain": {"timeoutSeconds": DRAIN_SECONDS}, **sfu}))


def world_with(nodes: int = 2, **sfu: Any) -> World:
    world = World([f"n{number}" for number in range(nodes)])
    change(world, **sfu)
    world.settle("cc")
    return world


def pod(world: World, name: str) -> Object:
    return world.objects[Ref(POD, NAMESPACE, name)]


def told(world: World) -> dict[str, tuple[str, int]]:
    return {s["name"]: (s["state"], s["port"]) for s in world.status("cc")["sfu"]["servers"]}


def passes(world: World, count: int = 3) -> None:
    for _ in range(count):
        world.pass_over("cc")
        world.work()


def record(world: World) -> str:
    account = world.objects[Ref(SERVICE_ACCOUNT, NAMESPACE, "cc-sfu")]
    found: str = account["metadata"]["annotations"].get(names.PORTS, "")
    return found


def test_each_sfu_gets_ports_of_its_own_and_an_address() -> None:
    world = world_with(replicas=3)
    assert told(world) == {
        "cc-sfu-0": ("Ready", 28000),
        "cc-sfu-1": ("Ready", 28001),
        "cc-sfu-2": ("Ready", 28002),
    }
    assert host_ports(pod(world, "cc-sfu-2")) == {(28002, "UDP"), (9702, "TCP")}
    assert pod(world, "cc-sfu-0")["metadata"]["annotations"][names.EXTERNAL_ADDRESS] == "203.0.113.1"


def test_an_sfu_is_told_its_address_even_where_it_is_the_nodes_own() -> None:
    world = World(["n1"])
    world.put(callcluster("cc", sfu={"replicas": 1}, addressing={"sources": ["NodeInternalIP"]}))
    world.settle("cc")
    assert pod(world, "cc-sfu-0")["metadata"]["annotations"][names.EXTERNAL_ADDRESS] == "10.0.0.1"


def test_the_status_counts_rooms_and_participants() -> None:
    world = world_with(replicas=2)
    world.processes["cc-sfu-1"].load = 5
    world.settle("cc")
    sfu = world.status("cc")["sfu"]
    assert (sfu["replicas"], sfu["readyReplicas"], sfu["rooms"], sfu["participants"]) == (2, 2, 1, 5)
    assert world.condition("cc", CAPACITY)["message"] == "2 of 2 SFUs take rooms"


def test_a_changed_sfu_is_replaced_before_it_is_drained() -> None:
    world = world_with(replicas=1)
    world.processes["cc-sfu-0"].load = 5
    change(world, replicas=1, roomsPerReplica=7)
    world.pass_over("cc")
    assert [p["metadata"]["name"] for p in world.sfu_pods()] == ["cc-sfu-0", "cc-sfu-1"]
    assert names.DRAIN_STARTED not in pod(world, "cc-sfu-0")["metadata"]["annotations"]
    passes(world)
    assert told(world) == {"cc-sfu-0": ("Draining", 28000), "cc-sfu-1": ("Ready", 28001)}
    assert world.processes["cc-sfu-0"].draining


def test_an_sfu_is_not_drained_while_its_successor_cannot_serve() -> None:
    world = world_with(replicas=1)
    change(world, replicas=1, roomsPerReplica=7)
    world.pass_over("cc")
    world.work()
    world.processes["cc-sfu-1"].bus_up = False
    passes(world, 5)
    assert told(world) == {"cc-sfu-0": ("Ready", 28000), "cc-sfu-1": ("NotReady", 28001)}
    world.processes["cc-sfu-1"].bus_up = True
    passes(world, 5)
    assert told(world) == {"cc-sfu-1": ("Ready", 28001)}


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_while_sfus_are_replaced_as_many_take_rooms_as_are_wanted(replicas: int) -> None:
    world = world_with(replicas=replicas)
    change(world, replicas=replicas, logLevel="debug")
    for _ in range(12):
        world.pass_over("cc")
        assert world.status("cc")["sfu"]["readyReplicas"] >= replicas
        world.work()
    assert all(state == "Ready" for state, _ in told(world).values())
    assert all(port >= 28000 + replicas for _, port in told(world).values()), "the freed ports rest"


def test_a_draining_sfu_goes_when_its_last_participant_has_left() -> None:
    world = world_with(replicas=1)
    world.processes["cc-sfu-0"].load = 1
    change(world, replicas=0)
    passes(world, 4)
    assert "cc-sfu-0" in told(world)
    world.processes["cc-sfu-0"].load = 0
    passes(world, 2)
    assert not world.sfu_pods()


def test_a_draining_sfu_goes_at_its_deadline_and_not_before() -> None:
    world = world_with(replicas=1)
    world.processes["cc-sfu-0"].load = 1
    change(world, replicas=0)
    passes(world, 4)
    world.now += DRAIN_SECONDS - 1
    passes(world)
    assert "cc-sfu-0" in told(world)
    world.now += 1
    passes(world)
    assert not world.sfu_pods()


def test_an_sfu_that_does_not_report_is_not_deleted_before_its_deadline() -> None:
    world = world_with(replicas=1)
    world.processes["cc-sfu-0"].reports = False
    change(world, replicas=0)
    passes(world, 4)
    assert told(world)["cc-sfu-0"][0] == "Draining"
    assert not any(isinstance(step, Delete | Drain) for step in plan(world.observe("cc")).steps)


def test_a_freed_port_rests_for_a_minute() -> None:
    world = world_with(replicas=1)
    world.vanish("cc-sfu-0")
    world.settle("cc")
    assert told(world) == {"cc-sfu-0": ("Ready", 28001)}
    world.now += 59
    change(world, replicas=2)
    world.settle("cc")
    assert told(world)["cc-sfu-1"] == ("Ready", 28002)
    world.now += 61
    change(world, replicas=3)
    world.settle("cc")
    assert told(world)["cc-sfu-2"] == ("Ready", 28000)


def test_a_port_that_a_pod_may_have_had_is_not_forgotten_when_the_operator_dies() -> None:
    world = World()
    change(world, replicas=1)
    steps = plan(world.observe("cc")).steps
    made = next(n for n, step in enumerate(steps) if "cc-sfu-0" in str(step) and "Pod'" in str(step))
    world.pass_over("cc", stop_after=made + 1)
    world.vanish("cc-sfu-0")
    world.settle("cc")
    assert told(world) == {"cc-sfu-0": ("Ready", 28001)}


def test_a_clock_that_is_set_back_keeps_no_port_for_longer() -> None:
    world = world_with(replicas=1, portRange={"min": 28000, "max": 28000})
    world.vanish("cc-sfu-0")
    world.settle("cc")
    world.now -= 86_400
    world.settle("cc")
    world.now += 61
    world.settle("cc")
    assert told(world) == {"cc-sfu-0": ("Ready", 28000)}


def test_an_unreadable_record_of_ports_is_made_anew() -> None:
    world = world_with(replicas=1)
    for broken in ("{", "[]", '{"x": null}'):
        world.edit(
            Ref(SERVICE_ACCOUNT, NAMESPACE, "cc-sfu"),
            lambda account, text=broken: account["metadata"]["annotations"].update({names.PORTS: text}),
        )
        world.settle("cc")
        assert record(world) == '{"28000": null}'


def test_without_a_free_port_the_status_says_how_to_mend_it() -> None:
    world = world_with(replicas=2, portRange={"min": 28000, "max": 28000})
    assert list(told(world)) == ["cc-sfu-0"]
    progressing = world.condition("cc", "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("True", "PortsExhausted")
    assert "widen sfu.portRange" in progressing["message"]
    assert world.condition("cc", CAPACITY)["status"] == "True", "one takes rooms"
    world.vanish("cc-sfu-0")
    world.settle("cc")
    assert world.condition("cc", CAPACITY)["reason"] == "PortsExhausted"
    assert world.condition("cc", "Ready")["status"] == "True", "members connect to each other"
    world.now += 61
    world.settle("cc")
    assert told(world) == {"cc-sfu-0": ("Ready", 28000)}


def test_an_sfu_without_an_address_takes_no_rooms_and_the_status_says_why() -> None:
    world = World()
    sources = {"sources": ["Static"], "addresses": [{"nodeName": "other", "address": "203.0.113.9"}]}
    world.put(callcluster("cc", sfu={"replicas": 1}, turn={"replicas": 0}, addressing=sources))
    world.settle("cc")
    said = world.condition("cc", CAPACITY)
    assert (said["status"], said["reason"]) == ("False", "NoExternalAddress")
    assert "cc-sfu-0" in said["message"]


def test_sfus_that_have_all_their_rooms_are_full() -> None:
    world = world_with(replicas=1, roomsPerReplica=1)
    world.processes["cc-sfu-0"].load = 3
    world.settle("cc")
    said = world.condition("cc", CAPACITY)
    assert (said["status"], said["reason"]) == ("False", "Full")
    assert "raise sfu.replicas, sfu.roomsPerReplica or" in said["message"]


def test_sfus_without_space_for_two_more_are_full() -> None:
    world = world_with(replicas=2, participantsPerReplica=10)
    for name, load in (("cc-sfu-0", 9), ("cc-sfu-1", 8)):
        world.processes[name].load = load
    world.settle("cc")
    assert world.condition("cc", CAPACITY)["status"] == "True", "two more fit in one of them"
    world.processes["cc-sfu-1"].load = 9
    world.settle("cc")
    said = world.condition("cc", CAPACITY)
    assert (said["status"], said["reason"]) == ("False", "Full")
    assert "sfu.participantsPerReplica" in said["message"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, ("False", "PeerDenied")),
        ({"allowedCIDRs": ["203.0.113.1/24"]}, ("True", "PeersAllowed")),
        (
            {"allowedCIDRs": ["203.0.113.0/24"], "deniedCIDRs": ["203.0.113.1/32"]},
            ("False", "PeerDenied"),
        ),
    ],
)
def test_the_status_says_whether_relays_may_send_to_the_sfus(
    policy: dict[str, Any], expected: tuple[str, str]
) -> None:
    world = World(["n1"])
    world.put(callcluster("cc", sfu={"replicas": 1}, turn={"peerPolicy": policy}))
    world.settle("cc")
    said = world.condition("cc", "RelaysReachSFUs")
    assert (said["status"], said["reason"]) == expected
    if expected[0] == "False":
        assert "203.0.113.1," in said["message"]
        assert "turn.peerPolicy.allowedCIDRs" in said["message"]


@pytest.mark.parametrize(
    ("address", "expected"), [("198.20.0.1", "True"), ("10.0.0.9", "False"), ("2a01:4f8::1", "True")]
)
def test_a_public_address_of_an_sfu_needs_no_word_in_the_peer_policy(address: str, expected: str) -> None:
    world = World(["n1"])
    sources = {"sources": ["Static"], "addresses": [{"nodeName": "n1", "address": address}]}
    world.put(callcluster("cc", sfu={"replicas": 1}, addressing=sources))
    world.settle("cc")
    assert world.condition("cc", "RelaysReachSFUs")["status"] == expected


def test_without_turn_servers_there_are_no_relays_to_reach_an_sfu() -> None:
    world = World(["n1"])
    world.put(callcluster("cc", sfu={"replicas": 1}, turn={"replicas": 0}))
    world.settle("cc")
    said = world.condition("cc", "RelaysReachSFUs")
    assert (said["status"], said["reason"]) == ("Unknown", "NotRequested")


def test_two_callclusters_never_pick_the_same_ports() -> None:
    world = World(["n1"])
    for name in ("a", "b"):
        world.put(callcluster(name, sfu={"replicas": 2}, turn={"replicas": 0}))
        world.settle(name)
    ports = [port for pod in world.sfu_pods() for port in host_ports(pod)]
    assert len(ports) == len(set(ports)) == 8


def test_an_sfu_gives_way_to_an_earlier_named_neighbour_on_the_same_port() -> None:
    world = world_with(replicas=1)
    double = {**pod(world, "cc-sfu-0"), "metadata": {**pod(world, "cc-sfu-0")["metadata"]}}
    double["metadata"] |= {"name": "aa-sfu-0", "uid": "other", "ownerReferences": []}
    double["metadata"]["labels"] = {**double["metadata"]["labels"], names.INSTANCE_LABEL: "aa"}
    world.put(callcluster("aa", turn={"replicas": 0}, sfu={"replicas": 1}))
    world.settle("aa")
    world.put({**double, "status": {}})
    assert told(world)["cc-sfu-0"][1] == 28000
    world.settle("cc")
    assert told(world) == {"cc-sfu-1": ("Ready", 28001)}


def test_a_range_that_moves_moves_the_sfus() -> None:
    world = world_with(replicas=1)
    change(world, replicas=1, portRange={"min": 28500, "max": 28599})
    world.settle("cc")
    assert told(world) == {"cc-sfu-1": ("Ready", 28500)}


def test_an_edited_pod_is_mended_or_replaced() -> None:
    world = world_with(replicas=1)
    world.edit(
        ref_of(pod(world, "cc-sfu-0")),
        lambda found: found["metadata"]["labels"].update({names.COMPONENT_LABEL: names.TURN}),
    )
    world.settle("cc")
    assert pod(world, "cc-sfu-0")["metadata"]["labels"] == names.labels("cc", names.SFU)
    assert [p["metadata"]["name"] for p in world.turn_pods()] == ["cc-turn-0"]
    world.edit(
        ref_of(pod(world, "cc-sfu-0")),
        lambda found: found["spec"]["containers"][0].update(image="somebody/else:1"),
    )
    world.settle("cc")
    assert list(told(world)) == ["cc-sfu-1"]


def test_nothing_is_left_of_sfus_that_are_wanted_no_more_once_their_ports_have_rested() -> None:
    world = World()
    world.put(callcluster("cc"))
    world.settle("cc")
    before = {ref for ref in world.objects if ref.kind != POD}
    change(world, replicas=2)
    world.settle("cc")
    world.put(callcluster("cc"))
    world.settle("cc")
    assert not world.sfu_pods()
    assert "28000" in record(world)
    world.now += 61
    world.settle("cc")
    assert {ref for ref in world.objects if ref.kind != POD} == before
    assert "sfu" not in world.status("cc")


def test_without_sfus_nothing_of_the_spec_of_sfus_changes_any_object() -> None:
    written = []
    given: tuple[dict[str, Any], ...] = (
        {},
        {"sfu": {"replicas": 0, "portRange": {"min": 28100, "max": 28200}, "logLevel": "debug"}},
        {"template": {"sfu": {"image": "registry.example/sfu:9"}}},
    )
    for spec in given:
        world = World()
        world.put(callcluster("cc", **spec))
        world.settle("cc")
        written.append(world.writes)
    assert written[0] == written[1] == written[2]
    assert not [step for step in written[0] if "sfu-" in str(step) or "-sfu" in str(step)]
