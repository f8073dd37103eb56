"""What holds for rooms with an SFU of their own, whatever happens and wherever the operator dies."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
from callcluster_operator.objects import POD, ROOM, Ref, ref_of
from callcluster_operator.plan import Delete
from callcluster_operator.planning import names, pods
from callcluster_operator.planning.manifests.sfu import ROOM as ROOM_VARIABLE
from callcluster_operator.planning.plan import plan
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.plan_executor import ConflictError, World
from kit.plan_objects import NAMESPACE, callcluster, host_ports, room

pytestmark = pytest.mark.timeout(300)

ROOMS = ("red", "green", "blue")
EVENTS = [
    *(f"{what} {name}" for what in ("open", "close", "delete") for name in ROOMS),
    *("template", "more", "fewer", "pods", "pods", "time", "calls", "hang up", "vanish"),
]
Moment = tuple[str, int | None]
moments = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.one_of(st.none(), st.integers(0, 12))), min_size=4, max_size=14
)


class Life:
    """A CallCluster, and what users and chance do to it."""

    def __init__(self) -> None:
        self.world = World(["n1", "n2"])
        self.sfu: dict[str, Any] = {"replicas": 1, "drain": {"timeoutSeconds": 60}}
        self.world.put(callcluster("cc", turn={"replicas": 0}, sfu=copy.deepcopy(self.sfu)))
        self.world.settle("cc")

    def happen(self, event: str) -> None:
        what, _, name = event.partition(" ")
        ref = Ref(ROOM, NAMESPACE, name)
        match what:
            case "open" if ref not in self.world.objects:
                self.world.put(room(name, isolation="Dedicated", ttlSecondsAfterFinished=0))
            case "close" if ref in self.world.objects:
                self.world.edit(ref, lambda found: found.update(spec={**found["spec"], "state": "Closed"}))
            case "delete" if ref in self.world.objects:
                self.world._drop(ref)
            case "template":
                self.sfu["logLevel"] = "debug" if self.sfu.get("logLevel") == "warning" else "warning"
            case "more" | "fewer":
                self.sfu["replicas"] = 2 if what == "more" else 0
            case "pods":
                self.world.work()
            case "time":
                self.world.now += 25
            case "calls" | "hang":
                for pod in self.world.sfu_pods():
                    process = self.world.processes.get(pod["metadata"]["name"])
                    if process is not None and not (what == "calls" and process.draining):
                        process.load = int(what == "calls")
            case "vanish" if self.world.sfu_pods():
                self.world.vanish(self.world.sfu_pods()[-1]["metadata"]["name"])
        self.world.put(callcluster("cc", turn={"replicas": 0}, sfu=copy.deepcopy(self.sfu)))

    def come_to_rest(self) -> None:
        for process in self.world.processes.values():
            process.load = 0
        for _ in range(2):
            self.world.settle("cc")
            self.world.now += 61
        self.world.settle("cc")

    def served(self) -> dict[str, str]:
        """By pod the only room that its SFU serves; a room's name is opaque."""
        return {
            str(pod["metadata"]["name"]): pods.variable(pod, ROOM_VARIABLE) for pod in self.world.sfu_pods()
        }

    def claims(self) -> dict[str, str]:
        """By room its pod, as the rooms' status says."""
        found = {obj["metadata"]["name"]: obj.get("status", {}) for obj in self.world.of_kind(ROOM)}
        return {name: said["sfu"]["pod"] for name, said in found.items() if "sfu" in said}


@given(life=moments)
@settings(max_examples=25, deadline=None)
def test_no_sfu_ever_belongs_to_two_rooms_and_no_two_share_a_port(life: list[Moment]) -> None:
    lived = Life()
    belonged: dict[str, str] = {}
    for event, dies_after in life:
        lived.happen(event)
        lived.world.pass_over("cc", stop_after=dies_after)
        assert all(count == 1 for count in Counter(lived.claims().values()).values())
        ports = Counter(port for pod in lived.world.sfu_pods() for port in host_ports(pod))
        assert all(count == 1 for count in ports.values())
        for pod in lived.world.sfu_pods():
            name = pods.variable(pod, ROOM_VARIABLE)
            assert belonged.setdefault(pod["metadata"]["uid"], name) == name


@given(life=moments)
@settings(max_examples=25, deadline=None)
def test_wherever_the_operator_dies_each_open_room_ends_up_with_one_sfu_and_then_nothing_is_written(
    life: list[Moment],
) -> None:
    lived = Life()
    for event, dies_after in life:
        lived.happen(event)
        lived.world.pass_over("cc", stop_after=dies_after)
    lived.come_to_rest()
    rooms = [obj["metadata"]["name"] for obj in lived.world.of_kind(ROOM)]
    served = Counter(lived.served().values())
    assert served.pop("", 0) == lived.sfu["replicas"]
    assert sorted(served.values()) == [1] * len(rooms)
    assert lived.claims().keys() == set(rooms)
    assert plan(lived.world.observe("cc")).is_empty


@given(life=moments, late=st.lists(st.sampled_from(EVENTS), max_size=4))
@settings(max_examples=25, deadline=None)
def test_a_stale_snapshot_takes_no_sfu_with_calls_away_and_gives_none_to_another_room(
    life: list[Moment], late: list[str]
) -> None:
    lived = Life()
    for event, dies_after in life:
        lived.happen(event)
        lived.world.pass_over("cc", stop_after=dies_after)
    stale = plan(lived.world.observe("cc"))
    seen = {ref: obj["metadata"]["resourceVersion"] for ref, obj in lived.world.objects.items()}
    for event in late:
        lived.happen(event)
    before = {ref_of(pod): copy.deepcopy(pod) for pod in lived.world.sfu_pods()}
    try:
        lived.world.execute(stale)
    except ConflictError:
        pass
    for ref, pod in before.items():
        now = lived.world.objects.get(ref)
        if now is None or "deletionTimestamp" in now["metadata"]:
            deleted = any(isinstance(step, Delete) and step.ref == ref for step in stale.steps)
            was_going = "deletionTimestamp" in pod["metadata"]
            assert was_going or (deleted and pod["metadata"]["resourceVersion"] == seen.get(ref))
        else:
            assert pods.variable(now, ROOM_VARIABLE) == pods.variable(pod, ROOM_VARIABLE)
    lived.come_to_rest()
    assert len(lived.claims()) == len(lived.world.of_kind(ROOM))


def test_the_world_of_these_tests_gives_rooms_an_sfu() -> None:
    lived = Life()
    lived.happen("open red")
    lived.come_to_rest()
    assert list(lived.claims()) == ["red"]
    assert len(lived.world.of_kind(POD, names.SFU)) == 2
