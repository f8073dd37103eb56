"""From any spec and any disturbance, planning comes to rest, and rests."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from callcluster_operator.objects import POD, ROOM, Ref, ref_of
from callcluster_operator.planning import names, ports
from callcluster_operator.planning.plan import plan
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.plan_executor import ConflictError, RefusedError, World
from kit.plan_objects import NAMESPACE, callcluster, cc_ref, room

pytestmark = pytest.mark.timeout(300)

Spec = dict[str, Any]


def blocks(count: int, base: int = 20000, size: int = 10) -> Spec:
    """A relay range of a few small blocks."""
    last = base + count * size - 1
    return {"relayPortRange": {"min": base, "max": last}, "portsPerReplica": size}


turn_specs = st.builds(
    lambda count, replicas, quota, drain: {
        **blocks(count),
        "replicas": replicas,
        "quota": {"allocationsPerUser": quota},
        "drain": {"timeoutSeconds": drain},
    },
    st.integers(1, 6),
    st.integers(0, 3),
    st.sampled_from([6, 12]),
    st.sampled_from([0, 60]),
)
sfu_specs = st.builds(
    lambda replicas, ports, rooms, drain: {
        "replicas": replicas,
        "portRange": {"min": 28000, "max": 27999 + ports},
        "roomsPerReplica": rooms,
        "drain": {"timeoutSeconds": drain},
    },
    st.integers(0, 3),
    # With one port to spare: without, an old server stays for as long as calls use it.
    st.integers(4, 6),
    st.sampled_from([10, 20]),
    st.sampled_from([0, 60]),
)
specs = st.builds(
    lambda signaling, turn, sfu, more: {"signaling": signaling, "turn": turn, "sfu": sfu, **more},
    st.sampled_from(
        [
            {},
            {"replicas": 1},
            {"autoscaling": {"minReplicas": 1, "maxReplicas": 4, "targetSessionsPerReplica": 10}},
            {"auth": {"jwtSecretRef": {"name": "mine"}}, "corsOrigins": ["*"]},
        ]
    ),
    turn_specs,
    sfu_specs,
    st.sampled_from(
        [
            {},
            {"redis": {"mode": "External", "urlSecretRef": {"name": "redis"}}},
            {"networkPolicy": "Unmanaged", "podDisruptionBudget": "Unmanaged"},
            {"tls": {"secretRef": {"name": "turn-tls"}}},
        ]
    ),
)


def state(world: World) -> dict[Ref, Any]:
    """What is left when names, times and random values are taken away."""
    kept = {}
    for ref, obj in world.objects.items():
        if ref.kind == POD:
            continue
        body = {k: v for k, v in obj.items() if k not in ("metadata", "status", "data")}
        kept[ref] = copy.deepcopy(body)
    return kept


def come_to_rest(world: World) -> None:
    """Let time pass, too: old servers wait for their deadline, and the ports that they had rest."""
    for _ in range(3):
        world.settle("cc")
        world.now += 61
    world.settle("cc")


@given(before=specs, after=specs, nodes=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_any_spec_settles_and_then_nothing_is_written(before: Spec, after: Spec, nodes: int) -> None:
    world = World([f"n{number}" for number in range(nodes)])
    for spec in (before, after):
        world.put(callcluster("cc", **spec))
        come_to_rest(world)
    writes = len(world.writes)
    world.now += 5
    assert world.pass_over("cc").is_empty
    assert len(world.writes) == writes
    slots = after["turn"]["relayPortRange"]["max"] - after["turn"]["relayPortRange"]["min"] + 1
    fit = min(after["turn"]["replicas"], slots // 10 * nodes)
    assert len([p for p in world.turn_pods() if "deletionTimestamp" not in p["metadata"]]) >= fit
    assert len(world.sfu_pods()) == after["sfu"]["replicas"]


@given(before=specs, after=specs, data=st.data())
@settings(max_examples=25, deadline=None)
def test_an_operator_that_dies_after_any_step_comes_to_the_same_end(
    before: Spec, after: Spec, data: st.DataObject
) -> None:
    def run(*, dies: bool) -> World:
        world = World(["n1", "n2"])
        for spec in (before, after):
            world.put(callcluster("cc", **spec))
            if dies:
                for _ in range(data.draw(st.integers(1, 4), label="deaths")):
                    steps = len(plan(world.observe("cc")).steps)
                    world.pass_over("cc", stop_after=data.draw(st.integers(0, steps), label="steps"))
                    if data.draw(st.booleans(), label="pods act in between"):
                        world.work()
            come_to_rest(world)
        return world

    calm, struck = run(dies=False), run(dies=True)
    assert state(calm) == state(struck)
    assert len(calm.turn_pods()) == len(struck.turn_pods())
    assert len(calm.sfu_pods()) == len(struck.sfu_pods())
    assert [c["reason"] for c in calm.status("cc")["conditions"]] == [
        c["reason"] for c in struck.status("cc")["conditions"]
    ]


@given(
    names_and_specs=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.builds(
                lambda count, base, size, replicas, listener: {
                    **blocks(count, base, size),
                    "replicas": replicas,
                    "listeningPort": listener,
                },
                st.integers(3, 5),
                st.sampled_from([20000, 20005, 20010, 20020]),
                st.sampled_from([10, 15]),
                st.integers(0, 3),
                st.sampled_from([3478, 3480, 4000]),
            ),
        ),
        min_size=1,
        max_size=6,
    ),
    nodes=st.integers(1, 3),
)
@settings(max_examples=30, deadline=None)
def test_no_two_servers_on_a_node_ever_share_a_port(
    names_and_specs: list[tuple[str, Spec]], nodes: int
) -> None:
    world = World([f"n{number}" for number in range(nodes)])
    known: set[str] = set()
    for name, turn in names_and_specs:
        world.put(callcluster(name, turn=turn))
        known.add(name)
        for _ in range(8):
            for each in sorted(known):
                world.pass_over(each)
            world.work()
            assert_no_overlap(world)


def assert_no_overlap(world: World) -> None:
    placed = [pod for pod in world.turn_pods() if pod["spec"].get("nodeName")]
    for index, one in enumerate(placed):
        for other in placed[index + 1 :]:
            if one["spec"]["nodeName"] == other["spec"]["nodeName"]:
                first, second = ports.claim_of(one), ports.claim_of(other)
                assert first is not None
                assert second is not None
                assert not ports.overlap(first, second), (ref_of(one), ref_of(other))


@given(before=specs, after=specs, changes=st.lists(st.sampled_from("pdelfv"), max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_stale_snapshot_does_nothing_that_cannot_be_undone(
    before: Spec, after: Spec, changes: list[str]
) -> None:
    """The world moves on between observing and executing; what is deleted is what was seen."""
    world = World(["n1", "n2"])
    world.put(callcluster("cc", **before))
    world.put(room("standup", state="Closed", ttlSecondsAfterFinished=0))
    world.settle("cc")
    for process in world.processes.values():
        process.load = 1
    world.put(callcluster("cc", **after))
    world.now += 1
    stale = plan(world.observe("cc"))
    keys = world.key_set(names.turn_keys_secret("cc"))
    seen = {ref: obj["metadata"]["resourceVersion"] for ref, obj in world.objects.items()}
    for change in changes:
        disturb(world, change)
    moved = {
        ref for ref, obj in world.objects.items() if obj["metadata"]["resourceVersion"] != seen.get(ref)
    }
    there = set(world.objects)
    try:
        world.execute(stale)
    except (ConflictError, RefusedError):
        pass
    gone = there - set(world.objects)
    assert not gone & moved, "only what was seen is deleted"
    now_has = world.key_set(names.turn_keys_secret("cc"))
    assert set(keys.kids) <= set(now_has.kids), "no key vanishes"


def disturb(world: World, change: str) -> None:
    pods = world.turn_pods()
    match change:
        case "p":
            world.work()
        case "d" if pods:
            world.edit(
                ref_of(pods[0]), lambda pod: pod["metadata"].setdefault("labels", {}).update(touched="yes")
            )
        case "e":
            world.edit(
                Ref(ROOM, NAMESPACE, "standup"),
                lambda found: found["metadata"].setdefault("annotations", {}).update(kept="yes"),
            ) if Ref(ROOM, NAMESPACE, "standup") in world.objects else None
        case "l":
            for process in world.processes.values():
                process.load += 1
        case "f" if pods:
            world.fail(pods[-1]["metadata"]["name"])
        case "v" if pods:
            world.vanish(pods[-1]["metadata"]["name"])


def test_the_callcluster_of_these_tests_needs_nothing_else() -> None:
    world = World()
    world.put(callcluster("cc"))
    world.settle("cc")
    assert world.condition("cc", "Ready")["status"] == "True"
    assert world.objects[cc_ref("cc")]["status"]["turn"]["readyReplicas"] == 1
