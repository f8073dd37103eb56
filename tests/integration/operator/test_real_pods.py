"""The whole product on a real API server: operator, API objects, and pods that are real processes."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from pathlib import Path

import pytest
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.local.node import Node
from callcluster_operator.local.process import Warden
from callcluster_operator.local.programs import InstalledPrograms
from callcluster_operator.objects import POD, Object, ref_of
from callcluster_operator.planning import names
from kit.apiserver import ApiServer
from kit.callclusters import Eyes
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.ports import free_port, free_turn_port
from kit.specs import callcluster

pytestmark = [pytest.mark.apiserver, pytest.mark.redis, pytest.mark.coturn, pytest.mark.timeout(180)]


class KubeRegistry:
    """Binds and removes pods through the API server, as scheduler and kubelet do."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    async def bind(self, pod: Object, node: str) -> None:
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod["metadata"]["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        await asyncio.to_thread(self._server.request, "POST", f"{_path(pod)}/binding", binding)

    async def remove(self, pod: Object) -> None:
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        await asyncio.to_thread(self._server.request, "DELETE", _path(pod), options)


def _path(pod: Object) -> str:
    meta = pod["metadata"]
    return f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"


async def test_a_callcluster_on_a_real_api_server_carries_a_relayed_call(
    apiserver: ApiServer,
    operator: OperatorProcess,
    cluster: KubeCluster,
    namespace: str,
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    guard = await Warden.start(run)
    redis_port = free_port()
    node = Node(
        cluster,
        registry=KubeRegistry(apiserver),
        name=f"node-{secrets.token_hex(4)}",
        namespace=namespace,
        programs=InstalledPrograms(os.environ["PATH"]),
        directory=run / "pods",
        guard=guard,
        base_env={"PATH": os.environ["PATH"], "CONTROL_HOST": "127.0.0.1"},
        fixed_ports={names.REDIS: redis_port},
        addresses={f"demo-redis.{namespace}.svc:6379": f"127.0.0.1:{redis_port}"},
        resync=0.3,
    )
    try:
        async with node:
            spec = {
                "signaling": {"replicas": 1, "auth": {"guests": "Allowed"}, "drain": {"spreadSeconds": 1}},
                "turn": {
                    "listeningPort": free_turn_port(),
                    "peerPolicy": {"allowedCIDRs": ["127.0.0.0/8"]},
                    "drain": {"timeoutSeconds": 0},
                },
            }
            await cluster.create(callcluster("demo", namespace, spec))
            eyes = Eyes(cluster, namespace)

            await eventually(eyes.is_ready, within=60)
            pods = await cluster.list(POD, namespace=namespace, labels={names.COMPONENT_LABEL: "signaling"})
            port = pods[0]["spec"]["containers"][0]["ports"][0]["containerPort"]
            probe = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "callcluster_probe", "--url", f"ws://127.0.0.1:{port}", "--relay"),
                *("--duration", "2"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await probe.communicate()
            assert probe.returncode == 0, output.decode()

            found = await eyes.callcluster()
            await cluster.delete(ref_of(found), uid=found["metadata"]["uid"])

            async def is_gone() -> bool:
                return not await cluster.list(POD, namespace=namespace)

            await eventually(is_gone, within=60)
    finally:
        await guard.stop()
