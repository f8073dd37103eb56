"""Rooms: who is in them, how they end, and what becomes of those that nobody serves."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from callcluster_common.room_names import room_key
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.objects import ROOM, SECRET, Ref, ref_of
from callcluster_operator.planning import names
from kit.apiserver import ApiServer
from kit.callclusters import Eyes, condition
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.pods import Kubelet
from kit.specs import callcluster, room

pytestmark = pytest.mark.apiserver


async def reason(eyes: Eyes, name: str, kind: str = "Ready") -> str:
    found = await eyes.room(name)
    return condition((found or {}).get("status", {}), kind).get("reason", "")


async def test_a_room_shows_who_is_in_it_and_ends_when_it_is_closed(
    demo: Eyes, kubelet: Kubelet, cluster: KubeCluster, namespace: str
) -> None:
    await cluster.create(room("r-1", namespace, {"ttlSecondsAfterFinished": 3600}))

    async def is_open() -> bool:
        found = await demo.room("r-1")
        return condition((found or {}).get("status", {}), "Ready").get("status") == "True"

    await eventually(is_open)
    secret = await demo.object(Ref(SECRET, namespace, names.salt_secret("demo")))
    salt = base64.b64decode(secret["data"]["salt"])
    pods = list(kubelet.of(names.SIGNALING).values())
    pods[0].load.rooms[room_key(salt, "r-1")] = 2
    pods[1].load.rooms[room_key(salt, "r-1")] = 1

    async def has_three() -> bool:
        found = await demo.room("r-1")
        return bool(found and found["status"].get("participants") == 3 and found["status"]["startTime"])

    await eventually(has_three, within=60)
    await cluster.apply(room("r-1", namespace, {"state": "Closed"}))

    def told() -> bool:
        rules = [rule for pod in pods if pod.directive for rule in pod.directive.rooms]
        return len(rules) == len(pods) and all(rule.closed for rule in rules)

    await eventually(told)
    assert await reason(demo, "r-1", "Finished") in ("Active", "Closing"), "three are still in"
    for pod in pods:
        pod.load.rooms.clear()

    async def finished() -> bool:
        return await reason(demo, "r-1", "Finished") == "Closed"

    await eventually(finished)


async def test_a_finished_room_is_deleted_when_its_time_is_up(
    demo: Eyes, cluster: KubeCluster, namespace: str
) -> None:
    await cluster.create(room("r-1", namespace, {"state": "Closed", "ttlSecondsAfterFinished": 1}))

    async def gone() -> bool:
        return await demo.room("r-1") is None

    await eventually(gone, within=60)


async def test_a_room_without_a_callcluster_says_so_until_there_is_one(
    operator: OperatorProcess, kubelet: Kubelet, cluster: KubeCluster, namespace: str
) -> None:
    eyes = Eyes(cluster, namespace)
    await cluster.create(room("r-1", namespace, {}))

    async def orphaned() -> bool:
        return await reason(eyes, "r-1") == "ClusterNotFound"

    await eventually(orphaned, within=60)
    made = await cluster.create(callcluster("demo", namespace, {}))

    async def adopted() -> bool:
        return await reason(eyes, "r-1") not in ("ClusterNotFound", "")

    await eventually(adopted, within=60)
    await cluster.delete(ref_of(made), uid=made["metadata"]["uid"])
    await eventually(orphaned, within=60)


WITH_A_BUG = """
import sys
from callcluster_operator.__main__ import main
from callcluster_operator.reconciler import Reconciler

async def fail(*_):
    raise RuntimeError("planted")

Reconciler.reconcile_orphan = fail
sys.exit(main())
"""


async def test_a_bug_in_looking_after_rooms_ends_the_operator_loudly(
    apiserver: ApiServer, cluster: KubeCluster, log: Path, namespace: str
) -> None:
    await cluster.create(room("r-1", namespace, {}))
    with OperatorProcess(
        apiserver.kubeconfig, log, program=("-c", WITH_A_BUG), LEASE_NAME=namespace
    ) as operator:
        assert await asyncio.to_thread(operator.ended, 60.0) == 1
        assert "RuntimeError: planted" in operator.output()


async def test_a_room_that_was_deleted_stays_deleted(
    demo: Eyes, operator: OperatorProcess, cluster: KubeCluster, namespace: str
) -> None:
    made = await cluster.create(room("r-1", namespace, {}))

    async def seen() -> bool:
        return await reason(demo, "r-1") != ""

    await eventually(seen)
    await cluster.delete(ref_of(made), uid=made["metadata"]["uid"])
    before = operator.metric("callcluster_operator_reconciles_total")
    await eventually(lambda: operator.has_passed(before + 1), within=60)
    assert await cluster.get(Ref(ROOM, namespace, "r-1")) is None
