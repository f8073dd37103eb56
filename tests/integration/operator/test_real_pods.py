"""The whole product on a real API server: operator, API objects, and pods that are real processes."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import sys
import time
from pathlib import Path

import pytest
from callcluster_operator.cli.token import mint
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.local.node import Node
from callcluster_operator.local.process import Warden
from callcluster_operator.local.programs import InstalledPrograms
from callcluster_operator.objects import POD, SECRET, Object, Ref, ref_of
from callcluster_operator.planning import names
from kit.apiserver import ApiServer
from kit.callclusters import Eyes
from kit.canaries import leaks
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.ports import free_block, free_port, free_turn_port
from kit.specs import callcluster

pytestmark = [pytest.mark.apiserver, pytest.mark.redis, pytest.mark.coturn, pytest.mark.timeout(360)]


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


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


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
            low, high = free_block(400)
            spec = {
                "signaling": {"replicas": 1, "auth": {"guests": "Allowed"}, "drain": {"spreadSeconds": 1}},
                "turn": {
                    "listeningPort": free_turn_port(),
                    "relayPortRange": {"min": low, "max": high},
                    "portsPerReplica": 200,
                    "peerPolicy": {"allowedCIDRs": ["127.0.0.0/8"]},
                    "drain": {"timeoutSeconds": 0},
                },
            }
            await cluster.create(callcluster("demo", namespace, spec))
            eyes = Eyes(cluster, namespace)

            await eventually(eyes.is_ready, within=120)
            pods = await cluster.list(POD, namespace=namespace, labels={names.COMPONENT_LABEL: "signaling"})
            port = pods[0]["spec"]["containers"][0]["ports"][0]["containerPort"]
            room, room_secret = f"canary-{secrets.token_hex(8)}", secrets.token_bytes(32)
            subject = f"canary-subject-{secrets.token_hex(8)}"
            signing = await eyes.object(Ref(SECRET, namespace, names.jwt_secret("demo")))
            key = base64.b64decode(next(iter(signing["data"].values()))).decode()
            token = mint(key.encode(), room=room, user=subject, ttl=600, moderator=False, now=time.time())
            probe = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "callcluster_probe", "--url", f"ws://127.0.0.1:{port}", "--relay"),
                *("--duration", "2", "--room", room, "--secret", b64(room_secret), "--token", token),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await probe.communicate()
            assert probe.returncode == 0, output.decode()

            kept = apiserver.etcd_bytes()
            assert b"demo-turn-0" in kept, "the place that is searched is the one that is written to"
            planted = {
                "room secret": room_secret,
                "room": room.encode(),
                "subject": subject.encode(),
                "token": token.encode(),
            }
            assert leaks(planted, {"etcd": kept, "the operator's log": operator.output().encode()}) == []

            found = await eyes.callcluster()
            await cluster.delete(ref_of(found), uid=found["metadata"]["uid"])

            async def is_gone() -> bool:
                return not await cluster.list(POD, namespace=namespace)

            await eventually(is_gone, within=120)
    finally:
        await guard.stop()
