"""The operator as a process of its own, against a real API server, with pods that answer."""

from __future__ import annotations

import asyncio
import base64
from functools import partial
from pathlib import Path

import pytest
from callcluster_common.keyset import KEYS_FILE
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.objects import (
    CALL_CLUSTER,
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    SECRET,
    SERVICE,
    Object,
    Ref,
    ref_of,
)
from callcluster_operator.observed import PortClaim
from callcluster_operator.planning import names, ports
from kit.apiserver import ApiServer
from kit.callclusters import Eyes, condition, edit
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.pods import Kubelet
from kit.specs import callcluster

pytestmark = pytest.mark.apiserver


def data_of(secret: Object) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}


async def poke(cluster: KubeCluster, operator: OperatorProcess, ref: Ref, times: int = 3) -> None:
    """Make the operator look again by changing what is none of its business."""
    for number in range(times):
        seen = operator.metric("callcluster_operator_reconciles_total")
        annotations = {"example.org/poke": f"{number}-{seen}"}
        manifest = {
            "apiVersion": ref.kind.api_version,
            "kind": ref.kind.kind,
            "metadata": {"name": ref.name, "namespace": ref.namespace, "annotations": annotations},
        }
        await cluster.apply(manifest, field_manager="somebody")
        await eventually(partial(operator.has_passed, seen))


async def test_a_callcluster_becomes_its_children_and_says_so(demo: Eyes, namespace: str) -> None:
    children = await demo.children()
    made = {str(ref).replace(f"{namespace}/", "") for ref in children}
    assert {
        "Deployment demo-signaling",
        "Service demo-signaling",
        "Deployment demo-redis",
        "Service demo-redis",
        "Secret demo-turn-keys",
        "Secret demo-control-keys",
        "Secret demo-jwt",
        "ConfigMap demo-directive",
        "ServiceAccount demo-signaling",
        "NetworkPolicy demo-signaling",
        "PodDisruptionBudget demo-signaling",
        "Pod demo-turn-0",
    } <= made
    found = await demo.callcluster()
    assert found["metadata"]["finalizers"] == ["callcluster.dev/children"]
    assert "kopf" not in str(found["metadata"].get("annotations", {}))
    status = found["status"]
    assert status["observedGeneration"] == found["metadata"]["generation"]
    assert status["turn"]["readyReplicas"] == 1
    assert status["endpoints"]["turnURIs"][0] == "turn:203.0.113.7:3478?transport=udp"


async def test_an_edited_child_is_mended_and_what_others_add_stays(
    demo: Eyes, cluster: KubeCluster, namespace: str
) -> None:
    ref = Ref(DEPLOYMENT, namespace, "demo-signaling")

    def change(deployment: Object) -> None:
        deployment["metadata"]["labels"]["example.org/team"] = "calls"
        deployment["spec"].update(replicas=7, revisionHistoryLimit=9)

    await edit(cluster, ref, change)

    async def mended() -> bool:
        now = await demo.object(ref)
        return bool(now["spec"]["replicas"] == 2 and now["spec"]["revisionHistoryLimit"] == 3)

    await eventually(mended)
    labels = (await demo.object(ref))["metadata"]["labels"]
    assert labels["example.org/team"] == "calls"


async def test_every_deleted_child_comes_back(demo: Eyes, cluster: KubeCluster) -> None:
    before = await demo.children()
    deleted = {ref: child["metadata"]["uid"] for ref, child in before.items() if ref.kind != POD}
    for ref, uid in deleted.items():
        await cluster.delete(ref, uid=uid)

    async def all_back() -> bool:
        now = await demo.children()
        return all(ref in now and now[ref]["metadata"]["uid"] != uid for ref, uid in deleted.items())

    await eventually(all_back, within=60)
    await eventually(demo.is_ready, within=60)


async def test_a_deleted_turn_server_gets_a_successor(
    demo: Eyes, cluster: KubeCluster, kubelet: Kubelet, namespace: str
) -> None:
    old = await demo.object(Ref(POD, namespace, "demo-turn-0"))
    await cluster.delete(ref_of(old), uid=old["metadata"]["uid"])

    async def replaced() -> bool:
        servers = (await demo.callcluster())["status"]["turn"]["servers"]
        pods = [pod for ref, pod in (await demo.children()).items() if ref.kind == POD]
        return [server["state"] for server in servers] == ["Ready"] and old["metadata"]["uid"] not in [
            pod["metadata"]["uid"] for pod in pods
        ]

    await eventually(replaced, within=60)


async def test_a_turn_server_whose_image_somebody_changed_gets_a_successor(
    demo: Eyes, cluster: KubeCluster, kubelet: Kubelet, namespace: str
) -> None:
    await edit(
        cluster,
        Ref(POD, namespace, "demo-turn-0"),
        lambda pod: pod["spec"]["containers"][0].update(image="somebody/else:1"),
    )

    async def replaced() -> bool:
        servers = (await demo.callcluster())["status"]["turn"]["servers"]
        return [(server["name"] != "demo-turn-0", server["state"]) for server in servers] == [
            (True, "Ready")
        ]

    await eventually(replaced, within=60)


async def test_callclusters_made_at_once_share_no_port(
    operator: OperatorProcess, cluster: KubeCluster, namespace: str
) -> None:
    wanted = [f"cc-{letter}" for letter in "abcd"]
    await asyncio.gather(*(cluster.create(callcluster(name, namespace, {})) for name in wanted))
    eyes = Eyes(cluster, namespace)

    async def claims() -> list[PortClaim]:
        found = await cluster.list(POD, namespace=namespace, labels=names.every_pod(names.TURN))
        claimed = [claim for claim in map(ports.claim_of, found) if claim is not None]
        assert len({claim.owner for claim in claimed}) == len(wanted)
        return claimed

    claimed = await eventually(claims, within=60)
    for index, one in enumerate(claimed):
        for other in claimed[index + 1 :]:
            assert not ports.overlap(one, other), (one, other)
    assert all([await eyes.callcluster(name) for name in wanted])


async def test_a_deleted_callcluster_leaves_nothing_and_takes_nothing_of_others(
    demo: Eyes, cluster: KubeCluster, namespace: str
) -> None:
    labelled_alike = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "mine", "namespace": namespace, "labels": names.selector("demo")},
    }
    await cluster.apply(labelled_alike, field_manager="somebody")
    found = await demo.callcluster()
    await cluster.delete(ref_of(found), uid=found["metadata"]["uid"])

    async def all_gone() -> bool:
        left = {ref.name for ref in await demo.children()}
        assert left == {"mine"}
        return await cluster.get(ref_of(found)) is None

    await eventually(all_gone, within=60)


async def test_a_deletion_goes_on_after_a_crash(
    demo: Eyes,
    operator: OperatorProcess,
    apiserver: ApiServer,
    cluster: KubeCluster,
    log: Path,
    namespace: str,
) -> None:
    operator.kill()
    found = await demo.callcluster()
    await cluster.delete(ref_of(found), uid=found["metadata"]["uid"])
    with OperatorProcess(apiserver.kubeconfig, log, LEASE_NAME=f"{namespace}-2"):

        async def all_gone() -> bool:
            return await cluster.get(ref_of(found)) is None and not await demo.children()

        await eventually(all_gone, within=60)


async def test_nothing_is_written_while_nothing_changes(
    demo: Eyes, operator: OperatorProcess, cluster: KubeCluster, namespace: str
) -> None:
    def versions(objects: dict[Ref, Object]) -> dict[Ref, str]:
        return {ref: each["metadata"]["resourceVersion"] for ref, each in objects.items()}

    poked = Ref(CONFIG_MAP, namespace, "demo-directive")

    async def stays() -> bool:
        await poke(cluster, operator, poked, times=1)  # the last of the passes that are still under way
        before = versions(await demo.children()), await demo.callcluster()
        writes = operator.metric("callcluster_operator_writes_total")
        await poke(cluster, operator, poked, times=4)
        after = versions(await demo.children()), await demo.callcluster()
        assert operator.metric("callcluster_operator_writes_total") == writes
        assert after[1] == before[1]
        before[0].pop(poked), after[0].pop(poked)
        return after[0] == before[0]

    # Something has changed where a busy machine makes a pod answer late.
    await eventually(stays, within=120)


async def test_a_changed_spec_reaches_the_children(
    demo: Eyes, cluster: KubeCluster, namespace: str
) -> None:
    changed = {"signaling": {"replicas": 3}, "turn": {"replicas": 2}, "podDisruptionBudget": "Unmanaged"}
    await cluster.apply(callcluster("demo", namespace, changed))

    async def done() -> bool:
        status = (await demo.callcluster())["status"]
        kinds = {ref.kind.kind for ref in await demo.children()}
        return (
            status["signaling"]["readyReplicas"] == 3
            and status["turn"]["readyReplicas"] == 2
            and "PodDisruptionBudget" not in kinds
        )

    await eventually(done, within=60)
    slots = [server["slot"] for server in (await demo.callcluster())["status"]["turn"]["servers"]]
    assert sorted(slots) == [0, 1]


async def test_a_turn_server_with_a_call_is_not_killed_by_a_scale_in(
    demo: Eyes, kubelet: Kubelet, cluster: KubeCluster, namespace: str
) -> None:
    (server,) = kubelet.of(names.TURN).values()
    server.load.allocations = 1
    await cluster.apply(callcluster("demo", namespace, {"turn": {"replicas": 0}}))
    await eventually(lambda: server.load.draining, within=60)

    async def shown() -> bool:
        servers = (await demo.callcluster())["status"]["turn"]["servers"]
        return [server["state"] for server in servers] == ["Draining"]

    await eventually(shown)
    assert "deletionTimestamp" not in (await demo.object(Ref(POD, namespace, "demo-turn-0")))["metadata"]
    server.load.allocations = 0
    await eventually(lambda: not kubelet.of(names.TURN), within=60)


async def test_a_paused_callcluster_is_left_alone(
    demo: Eyes, operator: OperatorProcess, cluster: KubeCluster, namespace: str
) -> None:
    await cluster.apply(callcluster("demo", namespace, {"paused": True}))

    async def paused() -> bool:
        status = (await demo.callcluster())["status"]
        return condition(status, "Progressing").get("reason") == "Paused"

    await eventually(paused)
    service = await demo.object(Ref(SERVICE, namespace, "demo-signaling"))
    await cluster.delete(ref_of(service), uid=service["metadata"]["uid"])
    await poke(cluster, operator, Ref(CONFIG_MAP, namespace, "demo-directive"))
    assert await cluster.get(ref_of(service)) is None

    await cluster.apply(callcluster("demo", namespace, {"paused": False}))

    async def back() -> bool:
        return await cluster.get(ref_of(service)) is not None

    await eventually(back)


async def test_no_key_is_logged_or_measured(demo: Eyes, operator: OperatorProcess, namespace: str) -> None:
    told = operator.output() + operator.get("/metrics")
    secrets = [child for ref, child in (await demo.children()).items() if ref.kind == SECRET]
    values = [value for secret in secrets for value in data_of(secret).values()]
    assert len(values) >= 5
    keys = data_of(await demo.object(Ref(SECRET, namespace, "demo-turn-keys")))[KEYS_FILE]
    for value in (*values, *keys.split('"')):
        assert len(value) < 20 or value not in told
    assert "Bearer" not in told


async def test_the_health_port_tells_of_life_and_leadership(demo: Eyes, operator: OperatorProcess) -> None:
    assert operator.get("/healthz") == "ok\n"
    assert operator.get("/readyz") == "ok\n"
    await eventually(lambda: operator.metric("callcluster_operator_leader") == 1)
    assert operator.metric("callcluster_operator_reconciles_total", result="ok") >= 2
    assert operator.metric("callcluster_operator_api_calls_total", verb="apply", outcome="ok") >= 10


async def test_sigterm_ends_the_operator_in_order(
    operator: OperatorProcess, apiserver: ApiServer, namespace: str
) -> None:
    await eventually(lambda: operator.metric("callcluster_operator_leader") == 1)
    assert operator.terminate() == 0
    path = f"/apis/coordination.k8s.io/v1/namespaces/default/leases/{namespace}"
    assert apiserver.request("GET", path)["spec"].get("holderIdentity", "") == ""
    assert "Traceback" not in operator.output()


async def test_children_of_a_vanished_callcluster_wake_nobody(
    operator: OperatorProcess, cluster: KubeCluster, namespace: str
) -> None:
    orphan = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "left", "namespace": namespace, "labels": names.selector("gone")},
    }
    await cluster.apply(orphan)
    await cluster.create(callcluster("demo", namespace, {}))
    await eventually(lambda: operator.metric("callcluster_operator_reconciles_total") > 0)
    assert await cluster.get(Ref(CALL_CLUSTER, namespace, "gone")) is None
    assert await cluster.get(Ref(CONFIG_MAP, namespace, "left")) is not None


async def test_a_refused_pod_is_told_in_the_status_until_it_is_let_in(
    operator: OperatorProcess,
    kubelet: Kubelet,
    apiserver: ApiServer,
    cluster: KubeCluster,
    namespace: str,
) -> None:
    level = "pod-security.kubernetes.io/enforce"
    path = f"/api/v1/namespaces/{namespace}"
    apiserver.request("PATCH", path, {"metadata": {"labels": {level: "baseline"}}})
    await cluster.create(callcluster("demo", namespace, {}))
    eyes = Eyes(cluster, namespace)

    async def refused() -> bool:
        progressing = condition((await eyes.callcluster()).get("status", {}), "Progressing")
        return progressing.get("reason") == "Refused" and "violates PodSecurity" in progressing["message"]

    await eventually(refused, within=60)
    assert "Traceback" not in operator.output()
    apiserver.request("PATCH", path, {"metadata": {"labels": {level: "privileged"}}})
    await eventually(eyes.is_ready, within=60)
