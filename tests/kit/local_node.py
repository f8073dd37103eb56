"""A node over an in-memory store, whose every image is the fake workload."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from callcluster_operator.local.node import Node, StoreRegistry
from callcluster_operator.local.process import Warden
from callcluster_operator.local.programs import ProgramMissingError
from callcluster_operator.local.store import Store
from callcluster_operator.objects import POD, Object

from kit import fake_workload
from kit.eventually import eventually

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
