"""The local node: pods of an in-memory store as processes."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from callcluster_operator.objects import DEPLOYMENT, NODE, POD, Object, Ref
from kit.eventually import eventually
from kit.local_node import NAMESPACE, Machine, deployment, secret
from kit.ports import free_port


async def test_a_deployment_becomes_ready_pods_with_ports_of_their_own(machine: Machine) -> None:
    await machine.store.apply(deployment(replicas=2))

    async def both() -> list[Object] | None:
        ready = await machine.ready()
        return ready if len(ready) == 2 else None

    pods = await eventually(both)
    ports = {pod["spec"]["containers"][0]["ports"][0]["containerPort"] for pod in pods}
    assert len(ports) == 2
    assert {pod["status"]["podIP"] for pod in pods} == {"127.0.0.1"}
    found = await machine.store.get(Ref(DEPLOYMENT, NAMESPACE, "app"))
    assert found is not None

    async def counted() -> bool:
        now = await machine.store.get(Ref(DEPLOYMENT, NAMESPACE, "app"))
        return now is not None and now["status"]["readyReplicas"] == 2

    await eventually(counted)
    node = await machine.store.get(Ref(NODE, "", "here"))
    assert node is not None
    assert node["status"]["addresses"] == [{"type": "InternalIP", "address": "127.0.0.1"}]


async def test_a_pod_sees_its_own_variables_and_nothing_of_ours(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMETHING_PRIVATE", "x")
    await machine.store.apply(secret("the-key"))
    env = [
        {"name": "CONTROL_PORT", "value": "9090"},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "keys.json"}}},
        {"name": "URL", "value": "http://$(POD_NAME)/"},
    ]
    await machine.store.apply(deployment(container={"env": env}))
    pod = await machine.one_ready()
    seen = json.loads(await machine.ask(pod, "/env"))
    assert seen["POD_NAME"] == pod["metadata"]["name"]
    assert seen["KEY"] == "the-key"
    assert seen["URL"] == f"http://{pod['metadata']['name']}/"
    assert "SOMETHING_PRIVATE" not in seen


async def test_a_mounted_secret_follows_its_object_in_a_private_file(machine: Machine) -> None:
    template = deployment(
        env={"KEYS_FILE": "/etc/app/keys/keys.json"},
        container={"volumeMounts": [{"name": "keys", "mountPath": "/etc/app/keys"}]},
        volumes=[{"name": "keys", "secret": {"secretName": "keys"}}],
    )
    await machine.store.apply(template)
    waiting = "waits for Secret keys"

    async def waits() -> bool:
        pods = await machine.pods()
        reports = [each for pod in pods for each in pod.get("status", {}).get("containerStatuses", ())]
        return any(each["state"].get("waiting", {}).get("message") == waiting for each in reports)

    await eventually(waits)
    await machine.store.apply(secret("first"))
    pod = await machine.one_ready()
    path = json.loads(await machine.ask(pod, "/env"))["KEYS_FILE"]
    assert await machine.ask(pod, f"/file?{path}") == "first"
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700
    await machine.store.apply(secret("second"))

    async def follows() -> bool:
        return await machine.ask(pod, f"/file?{path}") == "second"

    await eventually(follows)
    assert (await machine.one_ready())["metadata"]["uid"] == pod["metadata"]["uid"]


async def test_annotations_reach_a_pod_as_files_while_it_runs(machine: Machine) -> None:
    item = {"path": "address", "fieldRef": {"fieldPath": "metadata.annotations['address']"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "single", "namespace": NAMESPACE, "annotations": {"address": "none"}},
        "spec": deployment(
            env={"ADDRESS_FILE": "/etc/podinfo/address"},
            container={
                "ports": [{"name": "control", "containerPort": free_port()}],
                "volumeMounts": [{"name": "podinfo", "mountPath": "/etc/podinfo"}],
            },
            volumes=[{"name": "podinfo", "downwardAPI": {"items": [item]}}],
        )["spec"]["template"]["spec"],
    }
    pod["spec"]["containers"][0]["env"][0]["value"] = str(
        pod["spec"]["containers"][0]["ports"][0]["containerPort"]
    )
    await machine.store.apply(pod)
    found = await machine.one_ready()
    assert found["spec"]["nodeName"] == "here"
    path = json.loads(await machine.ask(found, "/env"))["ADDRESS_FILE"]
    assert await machine.ask(found, f"/file?{path}") == "none"
    pod["metadata"]["annotations"]["address"] = "203.0.113.7"
    await machine.store.apply(pod)

    async def follows() -> bool:
        return await machine.ask(found, f"/file?{path}") == "203.0.113.7"

    await eventually(follows)


async def test_a_new_template_replaces_pods_only_when_the_new_ones_are_ready(
    machine: Machine, tmp_path: Path
) -> None:
    await machine.store.apply(deployment())
    old = await machine.one_ready()
    ready = tmp_path / "ready"
    await machine.store.apply(deployment(env={"READY_FILE": str(ready)}))

    async def surged() -> bool:
        return len(await machine.pods()) == 2

    await eventually(surged)
    assert [pod["metadata"]["uid"] for pod in await machine.ready()] == [old["metadata"]["uid"]]
    ready.touch()
    new = await machine.one_ready()
    assert new["metadata"]["uid"] != old["metadata"]["uid"]


async def test_recreate_ends_the_old_pod_first(machine: Machine) -> None:
    seen: set[int] = set()
    stop = machine.store.subscribe(
        lambda change, obj: seen.add(len([1 for ref in machine.store._records if ref.kind == POD]))
    )
    await machine.store.apply(deployment(strategy={"type": "Recreate"}))
    old = await machine.one_ready()
    await machine.store.apply(deployment(strategy={"type": "Recreate"}, env={"NEW": "1"}))

    async def replaced() -> bool:
        ready = await machine.ready()
        return len(ready) == 1 and ready[0]["metadata"]["uid"] != old["metadata"]["uid"]

    await eventually(replaced)
    stop()
    assert max(seen) == 1


async def test_scaling_in_takes_the_cheapest_pod(machine: Machine) -> None:
    await machine.store.apply(deployment(replicas=3))

    async def three() -> list[Object] | None:
        ready = await machine.ready()
        return ready if len(ready) == 3 else None

    pods = await eventually(three)
    marked = pods[1]
    await machine.store.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": marked["metadata"]["name"],
                "namespace": NAMESPACE,
                "annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"},
            },
        },
        field_manager="test",
    )
    await machine.store.apply(deployment(replicas=2))

    async def two() -> list[Object] | None:
        found = await machine.pods()
        return found if len(found) == 2 else None

    left = await eventually(two)
    assert marked["metadata"]["name"] not in {pod["metadata"]["name"] for pod in left}
