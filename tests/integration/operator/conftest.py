"""One API server for all tests of the operator, a namespace for each."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from callcluster_operator.kube import client, lease
from callcluster_operator.kube.access import open_access
from callcluster_operator.kube.client import KubeCluster
from kit.apiserver import ROOT, ApiServer, AssetsMissingError, find_assets
from kit.callclusters import Eyes
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.pods import Kubelet
from kit.specs import callcluster

ITEM_SECONDS = 300
"""For a test on a machine that is busy with others. The first one starts the API server, too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(ITEM_SECONDS))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the test's own calls take their time: only an operator has to be done before others may act."""
    for module, name in ((client, "READ_SECONDS"), (client, "WRITE_SECONDS"), (lease, "RETRY_SECONDS")):
        monkeypatch.setattr(module, name, 60.0)


@pytest.fixture(scope="session")
def apiserver() -> Iterator[ApiServer]:
    try:
        assets = find_assets()
    except AssetsMissingError as error:
        pytest.skip(str(error))
    with ApiServer(assets) as server:
        server.kubectl("apply", "-f", str(ROOT / "crds"))
        for name in ("callclusters", "rooms"):
            server.kubectl("wait", "--for=condition=Established", f"crd/{name}.callcluster.dev")
        yield server


@pytest.fixture
def namespace(apiserver: ApiServer) -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    apiserver.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    # Nothing empties namespaces here; what is left behind must not wake the operators of later tests,
    # nor hold ports.
    for resource in ("callclusters", "rooms"):
        path = f"/apis/callcluster.dev/v1alpha1/namespaces/{name}/{resource}"
        for left in apiserver.request("GET", path)["items"]:
            each = f"{path}/{left['metadata']['name']}"
            if left["metadata"].get("finalizers"):
                apiserver.request("PATCH", each, {"metadata": {"finalizers": None}})
            if "deletionTimestamp" not in left["metadata"]:
                apiserver.request("DELETE", each)
    apiserver.request("DELETE", f"/api/v1/namespaces/{name}/pods", {"gracePeriodSeconds": 0})


@pytest.fixture
async def cluster(apiserver: ApiServer) -> AsyncIterator[KubeCluster]:
    """The test's own eyes and hands, as an administrator."""
    access = await open_access(apiserver.kubeconfig)
    yield KubeCluster(access.client)
    await access.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "operator.log"


@pytest.fixture
def operator(apiserver: ApiServer, log: Path, namespace: str) -> Iterator[OperatorProcess]:
    with OperatorProcess(apiserver.kubeconfig, log, LEASE_NAME=namespace, LOG_LEVEL="debug") as process:
        yield process


@pytest.fixture
async def kubelet(apiserver: ApiServer, cluster: KubeCluster, namespace: str) -> AsyncIterator[Kubelet]:
    async with Kubelet(apiserver, cluster, namespace) as running:
        yield running


@pytest.fixture
async def demo(operator: OperatorProcess, kubelet: Kubelet, cluster: KubeCluster, namespace: str) -> Eyes:
    """A CallCluster that is ready."""
    await cluster.create(callcluster("demo", namespace, {}))
    eyes = Eyes(cluster, namespace)
    await eventually(eyes.is_ready, within=60)
    return eyes
