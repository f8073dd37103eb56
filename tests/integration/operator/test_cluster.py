"""The port to the cluster: what the in-memory store promises, and the API server does."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from callcluster_operator.cluster import Cluster, ClusterError, ConflictError, InvalidObjectError
from callcluster_operator.kube.access import open_access
from callcluster_operator.kube.client import PAGE_SIZE, KubeCluster
from callcluster_operator.kube.paths import plural_of
from callcluster_operator.local.store import Store
from callcluster_operator.objects import (
    CALL_CLUSTER,
    CHILD_KINDS,
    CONFIG_MAP,
    NODE,
    POD,
    ROOM,
    SECRET,
    Object,
    Ref,
)
from kit.apiserver import ApiServer
from kit.specs import room

pytestmark = pytest.mark.apiserver


@pytest.fixture(params=["api server", "store"])
def either(request: pytest.FixtureRequest, cluster: KubeCluster) -> Cluster:
    """Both implementations of the port."""
    return cluster if request.param == "api server" else Store()


def config_map(namespace: str, data: dict[str, str] | None = None, **meta: Any) -> Object:
    metadata = {"name": "demo", "namespace": namespace, **meta}
    body = {} if data is None else {"data": data}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **body}


def service(namespace: str, ports: list[dict[str, Any]]) -> Object:
    metadata = {"name": "demo", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}


async def test_an_equal_apply_leaves_the_resource_version(either: Cluster, namespace: str) -> None:
    made = await either.apply(config_map(namespace, {"a": "1"}))
    again = await either.apply(config_map(namespace, {"a": "1"}))
    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_apply_owns_what_it_says_and_no_more(either: Cluster, namespace: str) -> None:
    await either.apply(config_map(namespace, {"a": "1", "b": "1", "shared": "1"}))
    await either.apply(config_map(namespace, {"c": "2", "shared": "1"}), field_manager="somebody")
    after = await either.apply(config_map(namespace, {"a": "2"}))
    assert after["data"] == {"a": "2", "c": "2", "shared": "1"}


async def test_ports_with_the_same_number_are_told_apart(either: Cluster, namespace: str) -> None:
    both = [{"name": name, "port": 3478, "protocol": name.upper()} for name in ("tcp", "udp")]
    await either.apply(service(namespace, both))
    after = await either.apply(service(namespace, both[:1]))
    assert [port["name"] for port in after["spec"]["ports"]] == ["tcp"]


@pytest.mark.parametrize("precondition", ["uid", "resourceVersion"])
async def test_a_stale_apply_is_a_conflict(either: Cluster, namespace: str, precondition: str) -> None:
    seen = await either.apply(config_map(namespace, {"a": "1"}))
    ref = Ref(CONFIG_MAP, namespace, "demo")
    await either.delete(ref, uid=seen["metadata"]["uid"])
    await either.apply(config_map(namespace, {"a": "2"}))
    guard = {precondition: seen["metadata"][precondition]}
    with pytest.raises(ConflictError):
        await either.apply(config_map(namespace, {"a": "3"}, **guard))
    now = await either.get(ref)
    assert now is not None
    assert now["data"] == {"a": "2"}


async def test_only_the_object_that_was_seen_is_deleted(either: Cluster, namespace: str) -> None:
    ref = Ref(CONFIG_MAP, namespace, "demo")
    seen = (await either.apply(config_map(namespace, {"a": "1"})))["metadata"]
    await either.apply(config_map(namespace, {"a": "2"}))
    with pytest.raises(ConflictError):
        await either.delete(ref, uid=seen["uid"], resource_version=seen["resourceVersion"])
    with pytest.raises(ConflictError):
        await either.delete(ref, uid="11111111-2222-3333-4444-555555555555")
    await either.delete(ref, uid=seen["uid"])
    await either.delete(ref, uid=seen["uid"])
    assert await either.get(ref) is None


async def test_a_status_is_replaced_as_a_whole_and_equal_ones_change_nothing(
    either: Cluster, namespace: str
) -> None:
    await either.apply(room("r-1", namespace, {}))
    ref = Ref(ROOM, namespace, "r-1")
    await either.write_status(ref, {"participants": 2, "closeReason": "Empty"})
    await either.write_status(ref, {"participants": 3})
    once = await either.get(ref)
    await either.write_status(ref, {"participants": 3})
    assert once is not None
    assert once["status"] == {"participants": 3}
    assert await either.get(ref) == once
    await either.write_status(Ref(ROOM, namespace, "gone"), {"participants": 1})


async def test_a_status_is_written_only_to_the_object_that_was_seen(
    either: Cluster, namespace: str
) -> None:
    seen = (await either.apply(room("r-1", namespace, {})))["metadata"]["resourceVersion"]
    ref = Ref(ROOM, namespace, "r-1")
    await either.write_status(ref, {"participants": 2}, resource_version=seen)
    with pytest.raises(ConflictError):
        await either.write_status(ref, {"participants": 3}, resource_version=seen)
    now = await either.get(ref)
    assert now is not None
    assert now["status"] == {"participants": 2}


async def test_objects_in_lists_say_what_they_are(either: Cluster, namespace: str) -> None:
    await either.apply(config_map(namespace, {}, labels={"x": "1", "y": "2"}))
    found = await either.list(CONFIG_MAP, namespace=namespace, labels={"x": "1"})
    assert [(each["apiVersion"], each["kind"]) for each in found] == [("v1", "ConfigMap")]
    assert await either.list(CONFIG_MAP, namespace=namespace, labels={"x": "1", "y": "1"}) == []


async def test_a_deletion_with_finalizers_ends_with_the_last(either: Cluster, namespace: str) -> None:
    ref = Ref(CONFIG_MAP, namespace, "demo")
    made = await either.apply(config_map(namespace, {}, finalizers=["callcluster.dev/children"]))
    await either.delete(ref, uid=made["metadata"]["uid"])
    going = await either.get(ref)
    assert going is not None
    assert "deletionTimestamp" in going["metadata"]
    await either.apply(config_map(namespace, {}))
    assert await either.get(ref) is None


async def test_long_lists_are_read_to_the_end(cluster: KubeCluster, namespace: str) -> None:
    count = PAGE_SIZE + 3
    for start in range(0, count, 50):
        names = [f"c-{number}" for number in range(start, min(start + 50, count))]
        await asyncio.gather(*(cluster.apply(config_map(namespace, {}, name=name)) for name in names))
    found = await cluster.list(CONFIG_MAP, namespace=namespace)
    assert len({each["metadata"]["name"] for each in found}) == count


async def test_all_namespaces_are_those_that_may_be_seen(
    apiserver: ApiServer, cluster: KubeCluster, namespace: str
) -> None:
    access = await open_access(apiserver.kubeconfig)
    try:
        await cluster.apply(config_map("default", {}, labels={"of": namespace}))
        await cluster.apply(config_map(namespace, {}, labels={"of": namespace}))
        wanted = {"of": namespace}
        assert len(await KubeCluster(access.client).list(CONFIG_MAP, labels=wanted)) == 2
        some = KubeCluster(access.client, namespaces=[namespace])
        assert len(await some.list(CONFIG_MAP, labels=wanted)) == 1
    finally:
        await access.close()


@pytest.fixture
async def stranger(apiserver: ApiServer) -> AsyncIterator[KubeCluster]:
    """A client without any rights."""
    access = await open_access(apiserver.kubeconfig_for("operator"))
    yield KubeCluster(access.client)
    await access.close()


async def test_missing_rights_are_told_apart_from_missing_objects(
    stranger: KubeCluster, namespace: str
) -> None:
    with pytest.raises(ClusterError, match="forbidden") as read:
        await stranger.get(Ref(CONFIG_MAP, namespace, "demo"))
    assert not isinstance(read.value, ConflictError | InvalidObjectError)
    with pytest.raises(InvalidObjectError, match="forbidden"):
        await stranger.apply(config_map(namespace, {}))


async def test_a_refused_secret_is_not_quoted(cluster: KubeCluster, namespace: str) -> None:
    canary = base64.b64encode(b"canary-of-the-test").decode()
    metadata = {"name": "demo", "namespace": namespace, "labels": {"bad": "a b"}}
    bad = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"wrong key": canary}}
    with pytest.raises(InvalidObjectError) as refusal:
        await cluster.apply(bad)
    assert str(refusal.value) == f"{Ref(SECRET, namespace, 'demo')}: HTTP 422"


async def test_an_invalid_object_is_told_by_its_field(cluster: KubeCluster, namespace: str) -> None:
    with pytest.raises(InvalidObjectError, match=r"spec\.ports"):
        await cluster.apply(service(namespace, [{"name": "x", "port": 99999}]))


async def test_a_former_leader_writes_nothing(apiserver: ApiServer, namespace: str) -> None:
    access = await open_access(apiserver.kubeconfig)
    leads = True
    fenced = KubeCluster(access.client, may_write=lambda: leads)
    try:
        made = await fenced.apply(config_map(namespace, {"a": "1"}))
        leads = False
        ref = Ref(CONFIG_MAP, namespace, "demo")
        for write in (
            fenced.apply(config_map(namespace, {"a": "2"})),
            fenced.delete(ref, uid=made["metadata"]["uid"]),
            fenced.write_status(ref, {}),
        ):
            with pytest.raises(ClusterError, match="not the leader"):
                await write
        assert (await fenced.get(ref)) == made
    finally:
        await access.close()


async def test_an_api_server_that_is_away_is_an_error_for_later(
    apiserver: ApiServer, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(apiserver.kubeconfig.read_text().replace(apiserver.url, "https://127.0.0.1:1"))
    access = await open_access(elsewhere)
    try:
        with pytest.raises(ClusterError, match="can't be reached"):
            await KubeCluster(access.client).list(POD)
    finally:
        await access.close()


@pytest.mark.parametrize("content", ["not yaml: [", "{}", None])
async def test_an_unusable_kubeconfig_is_one_clear_error(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ClusterError, match="set KUBECONFIG"):
        await open_access(path)


def test_every_kind_has_the_path_that_the_server_serves(apiserver: ApiServer) -> None:
    for kind in (*CHILD_KINDS, CALL_CLUSTER, ROOM, NODE):
        root = "/apis" if "/" in kind.api_version else "/api"
        served = apiserver.request("GET", f"{root}/{kind.api_version}")["resources"]
        assert any(
            (each["kind"], each["name"], each["namespaced"])
            == (kind.kind, plural_of(kind), kind.namespaced)
            for each in served
        )
