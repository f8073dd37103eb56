"""Ports of other programs, told to planning."""

from __future__ import annotations

from callcluster_operator.local.occupied import claim, note
from callcluster_operator.local.store import Store
from callcluster_operator.objects import POD, Object, Ref
from callcluster_operator.planning import names
from callcluster_operator.planning.ports import claim_of, overlap


def turn_pod(reason: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "local-turn-0",
            "namespace": "calls",
            "labels": {**names.every_pod(names.TURN), names.INSTANCE_LABEL: "local"},
        },
        "spec": {
            "containers": [
                {
                    "name": "turn",
                    "ports": [{"containerPort": 3478, "hostPort": 3478, "protocol": "UDP"}],
                    "env": [{"name": "MIN_PORT", "value": "20000"}, {"name": "MAX_PORT", "value": "20999"}],
                }
            ]
        },
        "status": {"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": ""}}}]},
    }


def test_planning_sees_the_ports_as_a_neighbours_who_does_not_give_way() -> None:
    blocked = turn_pod("PortBusy")
    held, ours = claim_of(claim(blocked)), claim_of(blocked)
    assert held is not None
    assert ours is not None
    assert overlap(held, ours)
    assert held.owner < ours.owner


async def test_only_pods_whose_port_is_busy_are_noted() -> None:
    for reason, expected in (("ContainerCreating", 0), ("PortBusy", 1)):
        store = Store()
        pod = turn_pod(reason)
        await store.apply(pod)
        await store.write_status(Ref(POD, "calls", "local-turn-0"), pod["status"])
        await note(store, "calls")
        assert len(await store.list(POD)) == 1 + expected
