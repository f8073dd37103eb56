"""Lost leases and second replicas."""

from __future__ import annotations

from pathlib import Path

import pytest
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.objects import SERVICE, Ref, ref_of
from kit.apiserver import ApiServer
from kit.callclusters import Eyes
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.pods import Kubelet
from kit.specs import callcluster

pytestmark = pytest.mark.apiserver


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
