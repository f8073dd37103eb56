"""Rooms with an SFU of their own, on a real API server."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.objects import POD, Object, ref_of
from callcluster_operator.planning import names, pods
from callcluster_operator.planning.manifests.sfu import ROOM as ROOM_VARIABLE
from kit.apiserver import ApiServer
from kit.callclusters import Eyes, condition
from kit.eventually import eventually
from kit.operator_nursery import Nursery
from kit.operator_reaper import Driver, Reaper
from kit.pods import Kubelet
from kit.proxy import Proxy
from kit.specs import callcluster, room

pytestmark = pytest.mark.apiserver


async def own_sfus(eyes: Eyes) -> list[Object]:
    found = (pod for ref, pod in (await eyes.children()).items() if ref.kind == POD)
    return [pod for pod in found if pods.variable(pod, ROOM_VARIABLE)]


async def shown(eyes: Eyes, name: str) -> dict[str, Any]:
    found: dict[str, Any] = ((await eyes.room(name)) or {}).get("status", {}).get("sfu", {})
    return found


async def has_its_sfu(eyes: Eyes, name: str) -> bool:
    status = ((await eyes.room(name)) or {}).get("status", {})
    is_available = condition(status, "MediaAvailable").get("status") == "True"
    return is_available and status.get("sfu", {}).get("state") == "Ready"


async def has_none(eyes: Eyes) -> bool:
    return not await own_sfus(eyes)


async def test_a_dedicated_room_has_a_pod_with_ports_of_its_own_until_it_is_deleted(
    demo: Eyes, apiserver: ApiServer, cluster: KubeCluster, namespace: str
) -> None:
    made = [await cluster.create(room(each, namespace, {"isolation": "Dedicated"})) for each in "ab"]
    for each in "ab":
        await eventually(partial(has_its_sfu, demo, each), within=60)
    first, second = await own_sfus(demo)
    assert pods.variable(first, ROOM_VARIABLE) != pods.variable(second, ROOM_VARIABLE)
    told = [await shown(demo, each) for each in "ab"]
    assert {each["pod"] for each in told} == {pod["metadata"]["name"] for pod in (first, second)}
    assert len({each["port"] for each in told}) == 2
    table = apiserver.kubectl("get", "room", "-n", namespace, "-o", "wide").stdout
    assert all(each["pod"] in table for each in told)

    await cluster.delete(ref_of(made[0]), uid=made[0]["metadata"]["uid"])

    async def one_is_left() -> bool:
        return [pod["metadata"]["name"] for pod in await own_sfus(demo)] == [told[1]["pod"]]

    await eventually(one_is_left, within=60)
    assert await has_its_sfu(demo, "b")


async def test_the_sfu_of_a_closed_room_goes_when_the_last_one_has_left(
    demo: Eyes, cluster: KubeCluster, kubelet: Kubelet, namespace: str
) -> None:
    spec = {"isolation": "Dedicated", "ttlSecondsAfterFinished": 3600}
    await cluster.create(room("a", namespace, spec))
    await eventually(partial(has_its_sfu, demo, "a"), within=60)
    (running,) = kubelet.of(names.SFU).values()
    running.load.rooms = {"r-1": 3}
    await cluster.apply(room("a", namespace, {**spec, "state": "Closed"}))
    await eventually(lambda: running.load.draining, within=60)
    assert len(await own_sfus(demo)) == 1
    running.load.rooms = {}
    await eventually(partial(has_none, demo), within=60)

    async def says_so() -> bool:
        status = ((await demo.room("a")) or {})["status"]
        return "sfu" not in status and condition(status, "MediaAvailable")["reason"] == "Closed"

    await eventually(says_so, within=60)


@pytest.mark.timeout(1200)
async def test_an_operator_that_is_killed_at_each_write_gives_the_room_one_sfu_and_takes_it_away_again(
    apiserver: ApiServer,
    cluster: KubeCluster,
    kubelet: Kubelet,
    namespace: str,
    log: Path,
    tmp_path: Path,
) -> None:
    reaper, eyes = Reaper(), Eyes(cluster, namespace)
    async with Proxy(apiserver.kubeconfig, tmp_path, reaper.on_write) as proxy:
        with Nursery(proxy.kubeconfig, log) as nursery:
            driver = Driver(nursery, reaper, namespace)
            await cluster.create(callcluster("demo", namespace, {"turn": {"replicas": 0}}))
            await driver.drive("made", eyes.is_ready)
            reaper.kills = "once"
            counts: set[int] = set()
            made = await cluster.create(room("a", namespace, {"isolation": "Dedicated"}))

            async def is_served() -> bool:
                counts.add(len(await own_sfus(eyes)))
                return await has_its_sfu(eyes, "a") and await eyes.is_ready()

            await driver.drive("served", is_served)
            assert counts <= {0, 1}
            (own,) = await own_sfus(eyes)
            await cluster.delete(ref_of(made), uid=made["metadata"]["uid"])
            await driver.drive("taken away", partial(has_none, eyes))
    killed_at = {path.rpartition("/")[2] for _, path in reaper.writes}
    assert {own["metadata"]["name"], "demo-sfu", "demo-directive"} <= {
        p.partition("?")[0] for p in killed_at
    }
    assert "Traceback" not in log.read_text()
