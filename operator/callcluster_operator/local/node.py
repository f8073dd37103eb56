"""One machine as a whole cluster's hands: Deployment controller, scheduler and kubelet in small.

It works over the :class:`~callcluster_operator.cluster.Cluster` port only, so it runs pods of the in-memory
store and of a real API server alike.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from callcluster_operator.cluster import Cluster, ClusterError
from callcluster_operator.local import deployments, pod_status
from callcluster_operator.local.pod import PodRunner, Surroundings
from callcluster_operator.local.ports import pick
from callcluster_operator.local.process import Warden
from callcluster_operator.local.programs import Programs, component_of
from callcluster_operator.local.store import Store
from callcluster_operator.objects import (
    CONFIG_MAP,
    DEPLOYMENT,
    NODE,
    POD,
    SECRET,
    Kind,
    Object,
    Ref,
    ref_of,
)

logger = logging.getLogger(__name__)

FIELD_MANAGER = "callcluster-node"
ERROR_SECONDS = 1.0
LAST_GRACE_SECONDS = 3.0


class Registry(Protocol):
    """What only a scheduler and a kubelet may do to pods, each cluster in its own way."""

    async def bind(self, pod: Object, node: str) -> None:
        """Settle that ``node`` runs the pod."""

    async def remove(self, pod: Object) -> None:
        """Take a pod out of the cluster whose process has ended."""


class StoreRegistry:
    """The registry of the in-memory store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def bind(self, pod: Object, node: str) -> None:
        """Write the node's name."""
        meta = {key: pod["metadata"][key] for key in ("name", "namespace", "uid")}
        bound = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"nodeName": node}}
        await self._store.apply(bound, field_manager=FIELD_MANAGER)

    async def remove(self, pod: Object) -> None:
        """Drop it."""
        await self._store.remove(ref_of(pod))


def node_object(name: str) -> Object:
    """This machine as a Node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
    }


def node_status() -> dict[str, Any]:
    """A ready node whose address is the loopback address."""
    return {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }


class Node:
    """Runs the pods of one namespace as processes. Use as an asynchronous context manager.

    Args:
        cluster: where Deployments, Pods and what they mount are.
        registry: binds pods to this node, and takes away those that have ended.
        name: of the Node object.
        namespace: whose pods to run.
        programs: finds what stands for the images.
        directory: private to this run; every pod gets a directory below it.
        guard: kills the processes should we be killed.
        base_env: variables that every process gets.
        fixed_ports: the first port of a component's pods, where it is not to be just any.
        addresses: where Services are that are not at the address that pods are given.
        on_line: called with each line that a pod's process prints.
        resync: seconds between looks where nobody calls :meth:`wake`.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        registry: Registry,
        name: str,
        namespace: str,
        programs: Programs,
        directory: Path,
        guard: Warden,
        base_env: Mapping[str, str],
        fixed_ports: Mapping[str, int],
        addresses: Mapping[str, str],
        on_line: Callable[[Object, str], None] = lambda pod, line: None,
        resync: float = 5.0,
    ) -> None:
        self._cluster = cluster
        self._registry = registry
        self._name = name
        self._namespace = namespace
        self._directory = directory
        self._fixed_ports = fixed_ports
        self._resync = resync
        self._woken = asyncio.Event()
        self._mountable: dict[Ref, Object] = {}
        self._runners: dict[str, PodRunner] = {}
        self._leaving: dict[str, PodRunner] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._session = aiohttp.ClientSession()
        self._around = Surroundings(
            programs, guard, self._session, base_env, addresses, self._lookup, on_line
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Node:
        """Make the Node object and begin."""
        await self._cluster.apply(node_object(self._name), field_manager=FIELD_MANAGER)
        await self._cluster.write_status(Ref(NODE, "", self._name), node_status())
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End all pods within seconds: long grace periods are for clusters, where calls go on elsewhere."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        runners = [*self._runners.values(), *self._leaving.values()]
        await asyncio.gather(*(runner.stop(LAST_GRACE_SECONDS) for runner in runners))
        if self._ending:
            await asyncio.wait(self._ending)
        await self._session.close()

    def wake(self) -> None:
        """Something may have changed."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self._sync()
            except ClusterError as error:
                logger.debug("node: %s", error)
                await asyncio.sleep(ERROR_SECONDS)
            try:
                async with asyncio.timeout(self._resync):
                    await self._woken.wait()
            except TimeoutError:
                pass  # time for a look of our own

    async def _sync(self) -> None:
        mountable = [*await self._list(SECRET), *await self._list(CONFIG_MAP)]
        self._mountable = {ref_of(obj): obj for obj in mountable}
        pods = await self._list(POD)
        await self._control_deployments(pods)
        for pod in pods:
            await self._run_pod(pod)
        gone = self._runners.keys() - {pod["metadata"]["uid"] for pod in pods}
        for uid in gone:
            self._end(uid, None)

    async def _control_deployments(self, pods: list[Object]) -> None:
        found = {each["metadata"]["uid"]: each for each in await self._list(DEPLOYMENT)}
        for pod in pods:
            owner = deployments.owner_uid(pod)
            if owner is not None and owner not in found and "deletionTimestamp" not in pod["metadata"]:
                await self._cluster.delete(ref_of(pod), uid=pod["metadata"]["uid"])
        for uid, deployment in found.items():
            mine = [pod for pod in pods if deployments.owner_uid(pod) == uid]
            change = deployments.change(deployment, mine, self._make)
            for pod in change.create:
                await self._cluster.apply(pod, field_manager=FIELD_MANAGER)
                self.wake()
            for pod in change.delete:
                await self._cluster.delete(ref_of(pod), uid=pod["metadata"]["uid"])
                self.wake()
            status = deployments.status(deployment, mine)
            if status != deployment.get("status"):
                await self._cluster.write_status(ref_of(deployment), status)

    def _make(self, deployment: Object, template: str) -> Object:
        pod = deployments.pod_of(deployment, template, suffix=secrets.token_hex(3), node=self._name)
        if pod["spec"].get("hostNetwork"):
            return pod
        return pod_status.with_own_ports(pod, self._fixed_ports.get(component_of(pod)), pick)

    async def _run_pod(self, pod: Object) -> None:
        uid, ref = pod["metadata"]["uid"], ref_of(pod)
        host = pod["spec"].get("nodeName")
        if host is None:
            await self._registry.bind(pod, self._name)
            self.wake()
            return
        if host != self._name:
            return
        if "deletionTimestamp" in pod["metadata"]:
            if uid not in self._leaving:
                self._end(uid, pod)
            return
        if uid not in self._runners:
            self._runners[uid] = PodRunner(pod, self._directory / uid, self._around, self.wake)
        runner = self._runners[uid]
        runner.update(pod)
        status = pod_status.status(pod, runner.state)
        if status != pod.get("status"):
            await self._cluster.write_status(ref, status)
        if runner.state.port_lost and deployments.owner_uid(pod) is not None:
            # Its ports were picked by us: another pod gets others.
            await self._cluster.delete(ref, uid=uid)

    def _end(self, uid: str, pod: Object | None) -> None:
        """Stop a pod's process in the background, and take ``pod`` away afterwards."""
        runner = self._runners.pop(uid, None)
        if runner is not None:
            self._leaving[uid] = runner

        async def end() -> None:
            if runner is not None:
                await runner.stop()
            if pod is not None:
                await self._registry.remove(pod)
            self._leaving.pop(uid, None)

        task = asyncio.create_task(end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _lookup(self, kind: Kind, name: str) -> Object | None:
        return self._mountable.get(Ref(kind, self._namespace, name))

    async def _list(self, kind: Kind) -> list[Object]:
        return await self._cluster.list(kind, namespace=self._namespace)
