"""A kubelet and Deployment controller for tests: pods that are Ready and answer on real control ports.

No process runs behind a pod but a real :class:`~callcluster_common.control.ControlServer`, each on a
loopback address of its own. It acknowledges the key set and the directive that its pod mounts, as the
images do.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import functools
import hashlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from callcluster_common import directive, keyset
from callcluster_common.control import ControlServer
from callcluster_common.reports import Report, SFUReport, SignalingReport, TURNReport
from callcluster_operator.cluster import ClusterError
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.objects import CONFIG_MAP, DEPLOYMENT, NODE, POD, SECRET, Object, Ref, ref_of
from callcluster_operator.planning import names
from prometheus_client import CollectorRegistry

from kit.apiserver import ApiServer

INTERVAL_SECONDS = 0.1
NETWORKS = range(20, 220)


@functools.cache
def _addresses() -> Iterator[str]:
    """Addresses of a loopback network that this process alone has until it ends: others run beside it."""
    directory = Path(tempfile.gettempdir()) / "callcluster-test-networks"
    directory.mkdir(exist_ok=True)
    for network in NETWORKS:
        lock = os.open(directory / str(network), os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        # Left open: the end of the process gives it up.
        return (f"127.{network}.{number // 250}.{number % 250 + 1}" for number in itertools.count())
    raise RuntimeError("all loopback networks of the tests are in use")


@dataclass
class Load:
    """What a pod reports of itself; tests change it."""

    sessions: int = 0
    allocations: int = 0
    draining: bool = False
    rooms: dict[str, int] = field(default_factory=dict)
    """Participants by opaque room name."""


class RunningPod:
    """One pod's control server, and the files that it has read."""

    def __init__(self, pod: Object) -> None:
        self.load = Load()
        self.address = next(_addresses())
        self.component: str = pod["metadata"]["labels"][names.COMPONENT_LABEL]
        self.turn_keys: keyset.KeySet | None = None
        self.control_keys: keyset.KeySet | None = None
        self.directive: directive.Directive | None = None
        self._server = ControlServer(
            alive=lambda: None,
            ready=lambda: None,
            report=self.report,
            metrics=CollectorRegistry(),
            tokens=lambda: self.control_keys,
            drain=self._drain,
        )

    async def start(self, port: int) -> None:
        await self._server.start(self.address, port)

    async def stop(self) -> None:
        await self._server.stop()

    def report(self) -> Report:
        key_set = keyset.fingerprint(self.turn_keys) if self.turn_keys else ""
        if self.component == names.TURN:
            return TURNReport("1", "4.6.1", self.load.draining, self.load.allocations, key_set)
        if self.component == names.SFU:
            participants = sum(self.load.rooms.values())
            return SFUReport("1", self.load.draining, len(self.load.rooms), participants)
        fingerprint = directive.fingerprint(self.directive) if self.directive else ""
        return SignalingReport(
            "1", self.load.draining, self.load.sessions, self.load.rooms, key_set, fingerprint
        )

    def _drain(self) -> None:
        self.load.draining = True


class Kubelet:
    """Runs the pods of one namespace on one node. Use as an asynchronous context manager.

    ``reads_files`` set to ``False`` freezes what the pods have read, and so holds up every rotation.
    """

    def __init__(self, apiserver: ApiServer, cluster: KubeCluster, namespace: str) -> None:
        self._apiserver = apiserver
        self._cluster = cluster
        self._namespace = namespace
        self._node = f"node-{namespace}"
        self.reads_files = True
        self.running: dict[str, RunningPod] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Kubelet:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._node}}
        await self._cluster.apply(node)
        address = {"type": "ExternalIP", "address": "203.0.113.7"}
        ready = {"type": "Ready", "status": "True"}
        ref = Ref(NODE, "", self._node)
        await self._cluster.write_status(ref, {"addresses": [address], "conditions": [ready]})
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        outcome = await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(pod.stop() for pod in self.running.values()))
        self._apiserver.request("DELETE", f"/api/v1/nodes/{self._node}")
        assert isinstance(outcome[0], asyncio.CancelledError), outcome

    def of(self, component: str) -> dict[str, RunningPod]:
        """Running pods of a component, by name."""
        return {name: pod for name, pod in self.running.items() if pod.component == component}

    async def _run(self) -> None:
        while True:
            try:
                await self._sync()
            except ClusterError:
                pass  # something changed under us; the next look sees it
            except HTTPError as error:
                if error.code not in (404, 409):
                    raise
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _sync(self) -> None:
        deployments = await self._cluster.list(DEPLOYMENT, namespace=self._namespace)
        for deployment in deployments:
            await self._control(deployment)
        living = {deployment["metadata"]["uid"] for deployment in deployments}
        pods = await self._cluster.list(POD, namespace=self._namespace)
        for pod in pods:
            owners = pod["metadata"].get("ownerReferences", ())
            if "deletionTimestamp" in pod["metadata"]:
                await self._end(pod)
            elif any(owner["kind"] == "Deployment" and owner["uid"] not in living for owner in owners):
                await self._cluster.delete(ref_of(pod), uid=pod["metadata"]["uid"])
            elif "nodeName" not in pod["spec"]:
                self._bind(pod)
            else:
                await self._keep(pod)
        for name in self.running.keys() - {pod["metadata"]["name"] for pod in pods}:
            await self.running.pop(name).stop()

    async def _control(self, deployment: Object) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        template = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:8]
        wanted = {f"{meta['name']}-{template}-{number}" for number in range(spec["replicas"])}
        selector = spec["selector"]["matchLabels"]
        pods = await self._cluster.list(POD, namespace=self._namespace, labels=selector)
        present = {pod["metadata"]["name"]: pod for pod in pods}
        for name in wanted - present.keys():
            await self._cluster.apply(self._pod_of(deployment, name), field_manager="test-kubelet")
        for name in present.keys() - wanted:
            await self._cluster.delete(ref_of(present[name]), uid=present[name]["metadata"]["uid"])
        ready = len(wanted & self.running.keys())
        available = "True" if ready else "False"
        status = {
            "observedGeneration": meta["generation"],
            "replicas": len(present),
            "updatedReplicas": len(wanted & present.keys()),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": [{"type": "Available", "status": available, "reason": "Test", "message": "test"}],
        }
        if deployment.get("status") != status:
            await self._cluster.write_status(ref_of(deployment), status)

    def _pod_of(self, deployment: Object, name: str) -> Object:
        template = deployment["spec"]["template"]
        owner = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": deployment["metadata"]["name"],
            "uid": deployment["metadata"]["uid"],
            "controller": True,
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "labels": template["metadata"]["labels"],
                "ownerReferences": [owner],
            },
            "spec": template["spec"],
        }

    def _bind(self, pod: Object) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": self._node}
        meta = {"name": pod["metadata"]["name"]}
        self._apiserver.request("POST", f"{self._path(pod)}/binding", {"metadata": meta, "target": target})

    async def _keep(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        if name not in self.running:
            running = RunningPod(pod)
            for container in pod["spec"]["containers"]:
                for port in container.get("ports", ()):
                    if port.get("name") == names.CONTROL_PORT:
                        await running.start(port["containerPort"])
            self.running[name] = running
        running = self.running[name]
        if self.reads_files:
            await self._read_files(pod, running)
        if pod["status"].get("phase") != "Running":
            await self._cluster.write_status(ref_of(pod), _running(pod, running.address))

    async def _read_files(self, pod: Object, running: RunningPod) -> None:
        for volume in pod["spec"].get("volumes", ()):
            if "secret" in volume:
                data = await self._file(SECRET, volume["secret"]["secretName"], keyset.KEYS_FILE)
                if data and volume["name"] == "turn-keys":
                    running.turn_keys = keyset.parse(data)
                elif data and volume["name"] == "control-keys":
                    running.control_keys = keyset.parse(data)
            elif "configMap" in volume:
                data = await self._file(CONFIG_MAP, volume["configMap"]["name"], directive.DIRECTIVE_FILE)
                if data:
                    running.directive = directive.parse(data)

    async def _file(self, kind: Any, name: str, key: str) -> bytes | None:
        found = await self._cluster.get(Ref(kind, self._namespace, name))
        text = (found or {}).get("data", {}).get(key)
        if text is None:
            return None
        return base64.b64decode(text) if kind == SECRET else str(text).encode()

    async def _end(self, pod: Object) -> None:
        running = self.running.pop(pod["metadata"]["name"], None)
        if running is not None:
            await running.stop()
        self._apiserver.request("DELETE", self._path(pod), {"gracePeriodSeconds": 0})

    def _path(self, pod: Object) -> str:
        return f"/api/v1/namespaces/{self._namespace}/pods/{pod['metadata']['name']}"


def _running(pod: Object, address: str) -> dict[str, Any]:
    started = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "hostIP": address,
        "hostIPs": [{"ip": address}],
        "conditions": [
            {"type": each, "status": "True"} for each in ("Ready", "ContainersReady", "PodScheduled")
        ],
        "containerStatuses": [
            {
                "name": container["name"],
                "ready": True,
                "restartCount": 0,
                "image": container["image"],
                "imageID": "",
                "state": started,
            }
            for container in pod["spec"]["containers"]
        ],
    }
