"""The operator with the rights that it needs and no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.objects import CALL_CLUSTER, SERVICE, Ref, ref_of
from kit import rbac
from kit.apiserver import ApiServer
from kit.callclusters import Eyes
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.pods import Kubelet
from kit.specs import callcluster, room

pytestmark = pytest.mark.apiserver


@pytest.fixture
def grants(apiserver: ApiServer, namespace: str) -> Iterator[list[str]]:
    """Bindings that end with the test."""
    bindings = [rbac.grant(apiserver, namespace, rbac.LEASE, "default")]
    yield bindings
    for binding in bindings:
        apiserver.request("DELETE", binding)


async def live_through(cluster: KubeCluster, namespace: str, log: Path) -> None:
    """Make, mend and delete a CallCluster, with a room that ends."""
    eyes = Eyes(cluster, namespace)
    made = await cluster.create(callcluster("demo", namespace, {}))
    await cluster.create(room("r-1", namespace, {"state": "Closed", "ttlSecondsAfterFinished": 0}))
    await eventually(eyes.is_ready, within=60)
    service = await eyes.object(Ref(SERVICE, namespace, "demo-signaling"))
    await cluster.delete(ref_of(service), uid=service["metadata"]["uid"])

    async def mended() -> bool:
        return await cluster.get(ref_of(service)) is not None and await eyes.room("r-1") is None

    await eventually(mended, within=60)
    await cluster.delete(ref_of(made), uid=made["metadata"]["uid"])

    async def all_gone() -> bool:
        return await cluster.get(ref_of(made)) is None and not await eyes.children()

    await eventually(all_gone, within=60)
    assert "forbidden" not in log.read_text()


async def test_rights_in_one_namespace_are_enough_for_one_namespace(
    apiserver: ApiServer,
    cluster: KubeCluster,
    kubelet: Kubelet,
    namespace: str,
    grants: list[str],
    log: Path,
) -> None:
    grants.append(rbac.grant(apiserver, namespace, rbac.NAMESPACED, namespace))
    grants.append(rbac.grant(apiserver, namespace, rbac.CLUSTER_WIDE))
    elsewhere = f"{namespace}-other"
    apiserver.request("POST", "/api/v1/namespaces", {"metadata": {"name": elsewhere}})
    other = await cluster.create(callcluster("demo", elsewhere, {}))
    user = apiserver.kubeconfig_for("operator")
    with OperatorProcess(user, log, namespaces=(namespace,), LEASE_NAME=namespace):
        await live_through(cluster, namespace, log)
    untouched = await cluster.get(Ref(CALL_CLUSTER, elsewhere, "demo"))
    assert untouched == other
    await cluster.delete(ref_of(other), uid=other["metadata"]["uid"])


async def test_rights_in_all_namespaces_are_enough_for_all(
    apiserver: ApiServer,
    cluster: KubeCluster,
    kubelet: Kubelet,
    namespace: str,
    grants: list[str],
    log: Path,
) -> None:
    rules = [*rbac.NAMESPACED, *rbac.CLUSTER_WIDE, *rbac.WATCHING_DEFINITIONS]
    grants.append(rbac.grant(apiserver, namespace, rules))
    with OperatorProcess(apiserver.kubeconfig_for("operator"), log, LEASE_NAME=namespace):
        await live_through(cluster, namespace, log)
