"""SFUs on a real API server: they come, change and take leave."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.objects import CALL_CLUSTER, POD, SERVICE_ACCOUNT, Object, Ref, ref_of
from callcluster_operator.planning import names
from kit.callclusters import Eyes, condition, edit
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.pods import Kubelet
from kit.specs import callcluster

pytestmark = pytest.mark.apiserver

Servers = list[tuple[str, str, int]]


@pytest.fixture
async def calls(operator: OperatorProcess, kubelet: Kubelet, cluster: KubeCluster, namespace: str) -> Eyes:
    """A CallCluster with two SFUs that is ready."""
    spec = {"sfu": {"replicas": 2}, "turn": {"replicas": 0}}
    await cluster.create(callcluster("demo", namespace, spec))
    eyes = Eyes(cluster, namespace)
    await eventually(partial(all_ready, eyes, [28000, 28001]), within=60)
    return eyes


async def servers(eyes: Eyes) -> Servers:
    found = (await eyes.callcluster()).get("status", {}).get("sfu", {}).get("servers", ())
    return [(each["name"], each["state"], each["port"]) for each in found]


async def all_ready(eyes: Eyes, ports: list[int]) -> bool:
    found = await servers(eyes)
    return sorted(port for _, _, port in found) == ports and {state for _, state, _ in found} == {"Ready"}


async def change(cluster: KubeCluster, namespace: str, **sfu: Any) -> None:
    ref = Ref(CALL_CLUSTER, namespace, "demo")
    await edit(cluster, ref, lambda found: found["spec"]["sfu"].update(sfu))


async def test_sfus_come_with_all_that_they_need_and_the_status_shows_them(
    calls: Eyes, kubelet: Kubelet, namespace: str
) -> None:
    made = {str(ref).replace(f"{namespace}/", "") for ref in await calls.children()}
    assert {
        "Pod demo-sfu-0",
        "Pod demo-sfu-1",
        "ServiceAccount demo-sfu",
        "PodDisruptionBudget demo-sfu",
    } <= made
    kubelet.running["demo-sfu-1"].load.rooms = {"r-1": 3, "r-2": 4}

    async def is_counted() -> bool:
        status = (await calls.callcluster())["status"]
        assert condition(status, "SFUCapacityAvailable")["status"] == "True"
        return (status["sfu"]["rooms"], status["sfu"]["participants"]) == (2, 7)

    # Loads are read every ten seconds.
    await eventually(is_counted, within=60)
    (shown,) = [s for s in (await calls.callcluster())["status"]["sfu"]["servers"] if s["rooms"]]
    assert (shown["name"], shown["address"], shown["nodeName"]) == (
        "demo-sfu-1",
        "203.0.113.7",
        f"node-{namespace}",
    )


async def test_an_edited_sfu_gets_a_successor_and_its_port_rests(
    calls: Eyes, cluster: KubeCluster, namespace: str
) -> None:
    account = Ref(SERVICE_ACCOUNT, namespace, "demo-sfu")
    await edit(
        cluster,
        Ref(POD, namespace, "demo-sfu-0"),
        lambda pod: pod["spec"]["containers"][0].update(image="somebody/else:1"),
    )

    def record(found: Object) -> dict[str, Any]:
        text: dict[str, Any] = json.loads(found["metadata"]["annotations"][names.PORTS])
        return text

    resting: set[str] = set()

    async def is_replaced() -> bool:
        # A port rests for a minute: a look afterwards may come too late.
        told = record(await calls.object(account))
        resting.update(port for port, until in told.items() if until is not None)
        return await all_ready(calls, [28001, 28002]) and "28000" in resting

    await eventually(is_replaced, within=60)
    assert resting == {"28000"}
    await cluster.delete(account, uid=(await calls.object(account))["metadata"]["uid"])

    async def is_back() -> bool:
        found = await cluster.get(account)
        return found is not None and record(found).keys() >= {"28001", "28002"}

    await eventually(is_back, within=60)


async def test_an_sfu_with_participants_outlives_a_changed_spec_until_they_have_left(
    calls: Eyes, cluster: KubeCluster, kubelet: Kubelet, namespace: str
) -> None:
    busy = kubelet.running["demo-sfu-0"]
    busy.load.rooms = {"r-1": 3}
    old = ref_of(await calls.object(Ref(POD, namespace, "demo-sfu-0")))
    await change(cluster, namespace, roomsPerReplica=7)

    async def only_the_busy_one_is_left() -> bool:
        found = await servers(calls)
        states = {state for name, state, _ in found if name != old.name}
        return (old.name, "Draining", 28000) in found and len(found) == 3 and states == {"Ready"}

    await eventually(only_the_busy_one_is_left, within=60)
    assert busy.load.draining
    busy.load.rooms = {}

    async def is_gone() -> bool:
        return await cluster.get(old) is None and len(await servers(calls)) == 2

    await eventually(is_gone, within=60)
