"""How many signaling pods there are."""

from __future__ import annotations

from typing import Any

import pytest
from callcluster_operator.objects import DEPLOYMENT, Ref
from callcluster_operator.planning import names, signaling
from kit.plan_executor import World
from kit.plan_objects import NAMESPACE, callcluster

SCALING = {
    "minReplicas": 2,
    "maxReplicas": 5,
    "targetSessionsPerReplica": 10,
    "scaleDownStabilizationSeconds": 300,
}


def scaled() -> World:
    world = World()
    world.put(callcluster("cc", signaling={"autoscaling": SCALING}))
    world.settle("cc")
    return world


def deployment(world: World) -> Any:
    return world.objects[Ref(DEPLOYMENT, NAMESPACE, "cc-signaling")]


def replicas(world: World) -> int:
    return int(deployment(world)["spec"]["replicas"])


def put_sessions(world: World, total: int) -> None:
    pods = [name for name in world.processes if "-signaling-" in name]
    for number, name in enumerate(sorted(pods)):
        world.processes[name].load = total // len(pods) + (number < total % len(pods))
    world.pass_over("cc")
    world.work()


@pytest.mark.parametrize(("spec", "count"), [({}, 2), ({"replicas": 1}, 1), ({"replicas": 7}, 7)])
def test_without_autoscaling_the_spec_decides(spec: dict[str, Any], count: int) -> None:
    world = World()
    world.put(callcluster("cc", signaling=spec))
    world.settle("cc")
    assert replicas(world) == count


@pytest.mark.parametrize(("sessions", "count"), [(0, 2), (20, 2), (21, 3), (50, 5), (500, 5)])
def test_more_sessions_get_more_pods_at_once_within_the_bounds(sessions: int, count: int) -> None:
    world = scaled()
    put_sessions(world, sessions)
    assert replicas(world) == count


def test_fewer_pods_must_have_been_enough_for_the_whole_time() -> None:
    world = scaled()
    put_sessions(world, 50)
    put_sessions(world, 25)
    world.now += 299
    put_sessions(world, 15)
    assert replicas(world) == 5
    world.now += 1
    put_sessions(world, 15)
    assert replicas(world) == 3, "as many as the busiest moment of the time needed"
    assert signaling.SCALE_DOWN not in deployment(world)["metadata"]["annotations"]


def test_a_peak_starts_the_time_anew() -> None:
    world = scaled()
    put_sessions(world, 50)
    put_sessions(world, 15)
    world.now += 200
    put_sessions(world, 45)
    put_sessions(world, 15)
    world.now += 200
    put_sessions(world, 15)
    assert replicas(world) == 5


def test_nothing_shrinks_while_a_pod_does_not_report() -> None:
    world = scaled()
    put_sessions(world, 50)
    next(process for name, process in world.processes.items() if "-signaling-" in name).reports = False
    put_sessions(world, 0)
    world.now += 1000
    put_sessions(world, 0)
    assert replicas(world) == 5


def test_a_smaller_maximum_holds_at_once() -> None:
    world = scaled()
    put_sessions(world, 50)
    world.put(callcluster("cc", signaling={"autoscaling": {**SCALING, "maxReplicas": 3}}))
    put_sessions(world, 50)
    assert replicas(world) == 3


def test_a_changed_directive_or_key_restarts_no_pod() -> None:
    world = scaled()
    template = deployment(world)["spec"]["template"]
    world.put(callcluster("cc", signaling={"autoscaling": SCALING}, turn={"replicas": 3}))
    world.now += 100_000
    world.settle("cc")
    assert deployment(world)["spec"]["template"] == template
    assert names.turn_keys_secret("cc") in str(template)
