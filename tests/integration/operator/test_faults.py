"""Crashes, lost leases and second replicas."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from callcluster_common import keyset
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.objects import SERVICE, Ref, ref_of
from callcluster_operator.planning import names
from kit.apiserver import ApiServer
from kit.callclusters import Eyes, essence
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.pods import Kubelet
from kit.proxy import Moment, Proxy
from kit.specs import callcluster

pytestmark = pytest.mark.apiserver

WRITES_PER_LIFE = 3
MOST_LIVES = 40


class Reaper:
    """Kills the operator with -9 at its third write: in one life before it is done, in the next after."""

    def __init__(self) -> None:
        self.operator: OperatorProcess | None = None
        self.moment: Moment = "before"
        self.writes = 0
        self.kills = 0

    def begin(self, operator: OperatorProcess) -> None:
        self.operator = operator
        self.writes = 0
        self.moment = "after" if self.moment == "before" else "before"

    def on_write(self, method: str, path: str, moment: Moment) -> bool:
        if moment == "before":
            self.writes += 1
        if self.operator is None or self.writes < WRITES_PER_LIFE or moment != self.moment:
            return False
        self.operator.kill()
        self.operator = None
        self.kills += 1
        return True


@pytest.mark.timeout(400)
async def test_an_operator_killed_again_and_again_ends_where_an_undisturbed_one_does(
    apiserver: ApiServer,
    cluster: KubeCluster,
    kubelet: Kubelet,
    namespace: str,
    log: Path,
    tmp_path: Path,
) -> None:
    eyes = Eyes(cluster, namespace)
    with OperatorProcess(apiserver.kubeconfig, log, LEASE_NAME=namespace):
        made = await cluster.create(callcluster("demo", namespace, {}))
        await eventually(eyes.is_ready, within=30)
        undisturbed = essence(await eyes.children())
        await cluster.delete(ref_of(made), uid=made["metadata"]["uid"])

        async def all_gone() -> bool:
            return await cluster.get(ref_of(made)) is None and not await eyes.children()

        await eventually(all_gone, within=30)

    reaper = Reaper()
    async with Proxy(apiserver.kubeconfig, tmp_path, reaper.on_write) as proxy:
        await cluster.create(callcluster("demo", namespace, {}))
        for life in itertools.count():
            assert life < MOST_LIVES, "it does not converge"
            # A lease of its own, since nobody needs to wait for a dead process here.
            with OperatorProcess(proxy.kubeconfig, log, LEASE_NAME=f"{namespace}-{life}") as operator:
                reaper.begin(operator)

                async def killed_or_ready(before: int = reaper.kills) -> bool:
                    return reaper.kills > before or await eyes.is_ready()

                await eventually(killed_or_ready, within=30)
                if reaper.operator is not None:
                    break
    assert reaper.kills >= 5
    assert essence(await eyes.children()) == undisturbed


@pytest.mark.timeout(120)
async def test_when_the_leader_is_killed_the_other_replica_acts_within_20_seconds(
    apiserver: ApiServer, cluster: KubeCluster, kubelet: Kubelet, namespace: str, tmp_path: Path
) -> None:
    eyes = Eyes(cluster, namespace)

    def replica(number: int) -> OperatorProcess:
        log = tmp_path / f"operator-{number}.log"
        return OperatorProcess(apiserver.kubeconfig, log, name=f"operator-{number}", LEASE_NAME=namespace)

    with replica(0) as first, replica(1) as second:
        await cluster.create(callcluster("demo", namespace, {}))
        await eventually(eyes.is_ready, within=30)

        def leaders() -> list[OperatorProcess]:
            return [each for each in (first, second) if each.metric("callcluster_operator_leader")]

        (leader,) = leaders()
        other = second if leader is first else first
        assert other.metric("callcluster_operator_reconciles_total") == 0
        leader.kill()
        service = await eyes.object(Ref(SERVICE, namespace, "demo-signaling"))
        await cluster.delete(ref_of(service), uid=service["metadata"]["uid"])

        async def mended() -> bool:
            return await cluster.get(ref_of(service)) is not None

        await eventually(mended, within=20)
        assert other.metric("callcluster_operator_leader") == 1


@pytest.mark.timeout(120)
async def test_a_leader_that_loses_its_lease_stops_and_comes_back_when_it_is_free(
    demo: Eyes,
    operator: OperatorProcess,
    apiserver: ApiServer,
    cluster: KubeCluster,
    namespace: str,
) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/default/leases/{namespace}"
    apiserver.request("PATCH", path, {"spec": {"holderIdentity": "somebody-else"}})
    await eventually(lambda: operator.metric("callcluster_operator_leader") == 0)
    service = await demo.object(Ref(SERVICE, namespace, "demo-signaling"))
    await cluster.delete(ref_of(service), uid=service["metadata"]["uid"])
    writes = operator.metric("callcluster_operator_writes_total")

    await eventually(lambda: operator.metric("callcluster_operator_leader") == 1, within=30)
    assert operator.metric("callcluster_operator_writes_total") == writes

    async def mended() -> bool:
        return await cluster.get(ref_of(service)) is not None

    await eventually(mended, within=20)


SHORT = {"ttlSeconds": 10, "rotation": {"intervalSeconds": 20, "overlapSeconds": 12, "skewSeconds": 1}}


@pytest.mark.timeout(240)
async def test_a_rotation_goes_on_after_a_crash_in_each_phase(
    apiserver: ApiServer, cluster: KubeCluster, kubelet: Kubelet, namespace: str, log: Path
) -> None:
    eyes = Eyes(cluster, namespace)
    refused: list[str] = []

    async def phase() -> str:
        minting = {pod.turn_keys.mint for pod in kubelet.of(names.SIGNALING).values() if pod.turn_keys}
        accepted = [pod.turn_keys.kids for pod in kubelet.of(names.TURN).values() if pod.turn_keys]
        refused.extend(kid for kid in minting for kids in accepted if kid not in kids)
        return str((await eyes.callcluster()).get("status", {}).get("credentials", {}).get("phase"))

    lives = itertools.count()

    def operator() -> OperatorProcess:
        return OperatorProcess(apiserver.kubeconfig, log, LEASE_NAME=f"{namespace}-{next(lives)}")

    async def comes(wanted: str) -> bool:
        return await phase() == wanted

    await cluster.create(callcluster("demo", namespace, {"turn": {"credentials": SHORT}}))
    with operator():
        await eventually(eyes.is_ready, within=30)
        first = (await eyes.callcluster())["status"]["credentials"]["mintKeyID"]
        kubelet.reads_files = False  # nobody confirms, so that the phase stays to be seen
        await eventually(lambda: comes("Staged"), within=40)
    with operator():
        assert await phase() == "Staged"
        kubelet.reads_files = True
        await eventually(lambda: comes("Overlap"), within=40)
    with operator():
        await eventually(lambda: comes("Settled"), within=40)
    credentials = (await eyes.callcluster())["status"]["credentials"]
    assert credentials["mintKeyID"] != first
    assert credentials["acceptedKeyIDs"] == [credentials["mintKeyID"]]
    for pod in kubelet.of(names.TURN).values():
        assert isinstance(pod.turn_keys, keyset.KeySet)
    assert refused == []
