"""What holds for TURN servers and SFUs whatever happens: calls, and ports."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from callcluster_operator.objects import POD, ref_of
from callcluster_operator.plan import Apply, Delete
from callcluster_operator.planning import names
from callcluster_operator.planning.plan import plan
from callcluster_operator.planning.resting import REST_SECONDS
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.plan_executor import World
from kit.plan_objects import callcluster, host_ports

pytestmark = pytest.mark.timeout(300)

DRAIN_SECONDS = 60
EVENTS = ["template", "more", "fewer", "none", "pods", "pods", "time", "calls", "hang up", "fail", "vanish"]


def ports_of(component: str, count: int) -> dict[str, Any]:
    """A spec with ports for that many servers on one node."""
    if component == names.SFU:
        return {"portRange": {"min": 28000, "max": 27999 + count}}
    return {"relayPortRange": {"min": 20000, "max": 19999 + 10 * count}, "portsPerReplica": 10}


def disturb(world: World, event: str, spec: dict[str, Any], component: str) -> None:
    pods = world.of_kind(POD, component)
    first = next(iter(pods), None)
    process = world.processes.get(first["metadata"]["name"]) if first else None
    match event:
        case "template":
            spec["logLevel"] = "debug" if spec.get("logLevel") == "warning" else "warning"
        case "more":
            spec["replicas"] = min(3, spec["replicas"] + 1)
        case "fewer":
            spec["replicas"] = max(0, spec["replicas"] - 1)
        case "none":
            spec["replicas"] = 0
        case "pods":
            world.work()
        case "time":
            world.now += 25
        case "calls":
            for pod in pods:
                running = world.processes.get(pod["metadata"]["name"])
                if running is not None and not running.draining:
                    running.load = 1
        case "hang up" if process is not None:
            process.load = 0
        case "fail" if first is not None:
            world.fail(first["metadata"]["name"])
        case "vanish" if first is not None:
            world.vanish(first["metadata"]["name"])


@pytest.mark.parametrize("component", names.ON_THE_HOST)
@given(
    replicas=st.integers(0, 3),
    ports=st.integers(1, 6),
    events=st.lists(st.sampled_from(EVENTS), min_size=5, max_size=14),
)
@settings(max_examples=60, deadline=None)
def test_a_server_with_calls_is_never_deleted_before_its_deadline(
    component: str, replicas: int, ports: int, events: list[str]
) -> None:
    spec: dict[str, Any] = {
        **ports_of(component, ports),
        "replicas": replicas,
        "drain": {"timeoutSeconds": DRAIN_SECONDS},
    }
    world = World(["n1", "n2"])
    world.put(callcluster("cc", **{component: copy.deepcopy(spec)}))
    world.settle("cc")
    for process in world.processes.values():
        process.load = 1
    began: dict[str, float] = {}
    for event in events:
        disturb(world, event, spec, component)
        world.put(callcluster("cc", **{component: copy.deepcopy(spec)}))
        busy = {
            pod["metadata"]["uid"]
            for pod in world.of_kind(POD)
            if pod["metadata"]["name"] in world.processes and world.processes[pod["metadata"]["name"]].load
        }
        planned = plan(world.observe("cc"))
        for step in planned.steps:
            if isinstance(step, Delete) and step.uid in busy:
                assert world.now >= began[step.uid] + DRAIN_SECONDS
            if isinstance(step, Apply) and step.manifest["kind"] == "Pod":
                meta = step.manifest["metadata"]
                if names.DRAIN_STARTED in meta["annotations"]:
                    began.setdefault(meta["uid"], world.now)
        world.execute(planned)


@given(
    ports=st.integers(2, 8),
    rounds=st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from([*EVENTS, "move"]),
            st.integers(0, 30),
            st.booleans(),
        ),
        min_size=5,
        max_size=16,
    ),
)
@settings(max_examples=60, deadline=None)
def test_no_two_sfus_ever_share_a_port_and_a_freed_one_rests_wherever_the_operator_dies(
    ports: int, rounds: list[tuple[str, str, int, bool]]
) -> None:
    world = World(["n1", "n2"])
    specs: dict[str, dict[str, Any]] = {
        cc: {
            **ports_of(names.SFU, ports),
            "replicas": 2,
            "drain": {"timeoutSeconds": 0},
        }
        for cc in ("a", "b")
    }
    last_held: dict[tuple[str, int], tuple[str, float]] = {}
    for cc, event, stop_after, dies in rounds:
        if event == "move":
            start = specs[cc]["portRange"]["min"] + 1
            specs[cc]["portRange"] = {"min": start, "max": start + ports - 1}
        else:
            disturb(world, event, specs[cc], names.SFU)
        _look(world, last_held)
        world.put(callcluster(cc, sfu=copy.deepcopy(specs[cc])))
        world.pass_over(cc, stop_after=stop_after if dies else None)
        _look(world, last_held)


def _look(world: World, last_held: dict[tuple[str, int], tuple[str, float]]) -> None:
    """Check all pods, and remember who had which UDP port when."""
    claimed: dict[tuple[int, str], str] = {}
    for pod in world.of_kind(POD):
        ref, meta = ref_of(pod), pod["metadata"]
        ports = host_ports(pod) if meta["labels"][names.COMPONENT_LABEL] == names.SFU else set()
        for number, protocol in ports:
            if pod.get("status", {}).get("phase") != "Failed":
                assert (number, protocol) not in claimed, (ref, claimed[number, protocol])
                claimed[number, protocol] = ref.name
            if protocol == "UDP":
                key = (meta["labels"][names.INSTANCE_LABEL], number)
                holder, until = last_held.get(key, (meta["uid"], 0.0))
                assert holder == meta["uid"] or world.now >= until + REST_SECONDS
                last_held[key] = (meta["uid"], world.now)
