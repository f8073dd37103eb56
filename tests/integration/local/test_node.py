"""The local node runs pods of any cluster as real processes; here the cluster is the store."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from callcluster_operator.local.node import Node, StoreRegistry
from callcluster_operator.local.process import Warden
from callcluster_operator.local.programs import ProgramMissingError
from callcluster_operator.local.store import Store
from callcluster_operator.objects import DEPLOYMENT, NODE, POD, Object, Ref
from kit import fake_workload
from kit.eventually import eventually
from kit.ports import free_port

NAMESPACE = "calls"


class FakePrograms:
    """Every image is the fake workload."""

    missing = False

    def program(self, pod: Object) -> tuple[str, ...]:
        if self.missing:
            raise ProgramMissingError("it is not installed; install it")
        return (sys.executable, fake_workload.__file__)

    def arranged(self, pod: Object, argv: Sequence[str], directory: Path) -> Sequence[str]:
        return argv


class Machine:
    """A store and a node over it."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store = store
        self.directory = directory
        self.programs = FakePrograms()
        self.lines: list[str] = []

    async def pods(self) -> list[Object]:
        return await self.store.list(POD, namespace=NAMESPACE)

    async def ready(self) -> list[Object]:
        return [pod for pod in await self.pods() if condition(pod, "Ready") == "True"]

    async def one_ready(self) -> Object:
        async def one() -> Object | None:
            found = await self.ready()
            return found[0] if len(found) == 1 == len(await self.pods()) else None

        return await eventually(one)

    async def ask(self, pod: Object, path: str) -> str:
        port = pod["spec"]["containers"][0]["ports"][0]["containerPort"]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}{path}") as answer,
        ):
            answer.raise_for_status()
            return await answer.text()


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    store = Store()
    made = Machine(store, tmp_path / "run")
    async with running(made):
        yield made


@asynccontextmanager
async def running(machine: Machine) -> AsyncIterator[Node]:
    machine.directory.mkdir()
    guard = await Warden.start(machine.directory)
    node = Node(
        machine.store,
        registry=StoreRegistry(machine.store),
        name="here",
        namespace=NAMESPACE,
        programs=machine.programs,
        directory=machine.directory / "pods",
        guard=guard,
        base_env={"PATH": os.environ["PATH"]},
        fixed_ports={},
        addresses={},
        on_line=lambda pod, line: machine.lines.append(line),
    )
    stop = machine.store.subscribe(lambda change, obj: node.wake())
    try:
        async with node:
            yield node
    finally:
        stop()
        await guard.stop()


def condition(pod: Object, kind: str) -> str | None:
    found = {each["type"]: each["status"] for each in pod.get("status", {}).get("conditions", ())}
    return found.get(kind)


def deployment(*, replicas: int = 1, env: dict[str, str] | None = None, **spec: Any) -> Object:
    container: dict[str, Any] = {
        "name": "main",
        "image": "fake",
        "ports": [{"name": "control", "containerPort": 9090}],
        "env": [
            {"name": "CONTROL_PORT", "value": "9090"},
            *({"name": name, "value": value} for name, value in (env or {}).items()),
        ],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "control"}},
    }
    container |= spec.pop("container", {})
    strategy = spec.pop("strategy", {})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app", "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "strategy": strategy,
            "selector": {"matchLabels": {"app": "fake"}},
            "template": {
                "metadata": {"labels": {"app": "fake"}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 2, **spec},
            },
        },
    }


def secret(value: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "namespace": NAMESPACE},
        "data": {"keys.json": base64.b64encode(value.encode()).decode()},
    }


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


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


async def test_a_process_that_ends_is_started_again_and_counted(machine: Machine) -> None:
    await machine.store.apply(deployment())
    pod = await machine.one_ready()
    with pytest.raises(aiohttp.ClientError):
        await machine.ask(pod, "/exit")

    async def again() -> bool:
        now = await machine.one_ready()
        report = now["status"]["containerStatuses"][0]
        return report["restartCount"] == 1 and report["lastState"]["terminated"]["exitCode"] == 3

    await eventually(again)
    assert (await machine.one_ready())["metadata"]["uid"] == pod["metadata"]["uid"]
    assert "told to end" in machine.lines


async def test_what_a_process_leaves_behind_ends_before_it_is_started_again(machine: Machine) -> None:
    await machine.store.apply(deployment())
    pod = await machine.one_ready()
    child = int(await machine.ask(pod, "/child"))
    with pytest.raises(aiohttp.ClientError):
        await machine.ask(pod, "/exit")

    async def again() -> bool:
        return (await machine.one_ready())["status"]["containerStatuses"][0]["restartCount"] == 1

    await eventually(again)
    assert not is_running(child)


async def test_readiness_comes_and_goes_with_the_probe(machine: Machine, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    await machine.store.apply(deployment(env={"READY_FILE": str(ready)}))

    async def runs() -> bool:
        pods = await machine.pods()
        return len(pods) == 1 and pods[0].get("status", {}).get("phase") == "Running"

    await eventually(runs)
    assert not await machine.ready()
    ready.touch()
    await machine.one_ready()
    ready.unlink()

    async def is_unready() -> bool:
        return not await machine.ready()

    await eventually(is_unready)


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


async def test_a_pod_that_ignores_the_polite_signal_is_killed_with_its_children(machine: Machine) -> None:
    await machine.store.apply(deployment(env={"STUBBORN": "1"}))
    pod = await machine.one_ready()
    child = int(await machine.ask(pod, "/child"))
    assert is_running(child)
    await machine.store.delete(
        Ref(DEPLOYMENT, NAMESPACE, "app"), uid=(await machine.store.list(DEPLOYMENT))[0]["metadata"]["uid"]
    )

    async def gone() -> bool:
        return not await machine.pods() and not is_running(child)

    await eventually(gone, within=15)


async def test_a_variable_that_no_process_can_have_is_told_and_can_be_mended(machine: Machine) -> None:
    await machine.store.apply(deployment(env={"KEY": "a\0b"}))

    async def told() -> bool:
        statuses = [status for pod in await machine.pods() for status in pod["status"]["containerStatuses"]]
        return any("a character that none may have" in str(status["state"]) for status in statuses)

    await eventually(told)
    await machine.store.apply(deployment(env={"KEY": "ab"}))
    assert await machine.one_ready()


async def test_a_missing_program_leaves_the_pod_pending_and_says_so(machine: Machine) -> None:
    machine.programs.missing = True
    await machine.store.apply(deployment())

    async def says() -> bool:
        for pod in await machine.pods():
            for report in pod.get("status", {}).get("containerStatuses", ()):
                waiting = report["state"].get("waiting", {})
                if waiting.get("reason") == "ProgramMissing":
                    return pod["status"]["phase"] == "Pending" and "install it" in waiting["message"]
        return False

    await eventually(says)
    machine.programs.missing = False
    await machine.one_ready()


async def test_a_busy_host_port_leaves_the_pod_pending_until_it_is_free(machine: Machine) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    spec = deployment(hostNetwork=True)["spec"]["template"]["spec"]
    spec["containers"][0]["ports"][0] |= {"containerPort": port, "hostPort": port}
    spec["containers"][0]["env"][0]["value"] = str(port)
    await machine.store.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "single", "namespace": NAMESPACE},
            "spec": spec,
        }
    )

    async def says() -> bool:
        for pod in await machine.pods():
            for report in pod.get("status", {}).get("containerStatuses", ()):
                if report["state"].get("waiting", {}).get("reason") == "PortBusy":
                    return str(port) in report["state"]["waiting"]["message"]
        return False

    await eventually(says)
    server.close()
    await server.wait_closed()
    await machine.one_ready()


async def test_leaving_ends_every_process_and_removes_every_file(tmp_path: Path) -> None:
    machine = Machine(Store(), tmp_path / "run")
    async with running(machine):
        await machine.store.apply(secret("the-key"))
        await machine.store.apply(deployment(env={"STUBBORN": "1"}))
        pod = await machine.one_ready()
        child = int(await machine.ask(pod, "/child"))
    assert not is_running(child)
    assert not machine.directory.exists()


async def test_the_warden_ends_what_a_killed_parent_leaves(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, sys, pathlib\n"
        "from callcluster_operator.local.process import Process, Warden\n"
        "async def main():\n"
        "    directory = pathlib.Path(sys.argv[1])\n"
        "    guard = await Warden.start(directory)\n"
        "    one = await Process.start([sys.executable, '-c', 'import time; time.sleep(600)'], env={},\n"
        "                              cwd=directory, guard=guard, on_line=print)\n"
        "    print(one.pid, flush=True)\n"
        "    await one.wait()\n"
        "asyncio.run(main())\n"
    )
    directory = tmp_path / "run"
    directory.mkdir()
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(directory), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert is_running(pid)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()

    async def gone() -> bool:
        return not is_running(pid) and not directory.exists()

    await eventually(gone)
