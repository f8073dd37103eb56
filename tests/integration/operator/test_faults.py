"""Lost leases and second replicas."""

from __future__ import annotations

from pathlib import Path

import pytest
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.kube.paths import LEASE
from callcluster_operator.objects import SERVICE, Ref, ref_of
from kit.apiserver import ApiServer
from kit.callclusters import Eyes
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.pods import Kubelet
from kit.specs import callcluster

pytestmark = pytest.mark.apiserver


@pytest.mark.timeout(300)
async def test_when_the_leader_is_killed_the_other_replica_acts(
    apiserver: ApiServer, cluster: KubeCluster, kubelet: Kubelet, namespace: str, tmp_path: Path
) -> None:
    eyes = Eyes(cluster, namespace)

    def replica(number: int) -> OperatorProcess:
        log = tmp_path / f"operator-{number}.log"
        return OperatorProcess(apiserver.kubeconfig, log, name=f"operator-{number}", LEASE_NAME=namespace)

    with replica(0) as first, replica(1) as second:
        await cluster.create(callcluster("demo", namespace, {}))
        await eventually(eyes.is_ready, within=60)

        def leaders() -> list[OperatorProcess]:
            return [each for each in (first, second) if each.metric("callcluster_operator_leader")]

        await eventually(lambda: len(leaders()) == 1, within=60)
        (leader,) = leaders()
        other = second if leader is first else first
        lease = await eyes.object(Ref(LEASE, "default", namespace))
        if lease["spec"]["leaseTransitions"] == 1:  # where the machine stands still, they take turns
            assert other.metric("callcluster_operator_reconciles_total") == 0
        leader.kill()
        service = await eyes.object(Ref(SERVICE, namespace, "demo-signaling"))
        await cluster.delete(ref_of(service), uid=service["metadata"]["uid"])

        async def mended() -> bool:
            return await cluster.get(ref_of(service)) is not None

        await eventually(mended, within=60)
        await eventually(lambda: other.metric("callcluster_operator_leader") == 1, within=60)


@pytest.mark.timeout(300)
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
    writes: set[float] = set()

    def leads_again() -> bool:
        leads, written = operator.metrics(
            "callcluster_operator_leader", "callcluster_operator_writes_total"
        )
        if not leads:
            writes.add(written)
        return bool(leads)

    await eventually(leads_again, within=60)
    assert len(writes) == 1

    async def mended() -> bool:
        return await cluster.get(ref_of(service)) is not None

    await eventually(mended, within=60)
