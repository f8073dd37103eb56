"""Reconciling: what a pass costs while nothing changes, against a real kube-apiserver and etcd.

The operator runs as a process; a test kubelet answers its pods' control ports. CPU is the operator's own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path

from callcluster_operator.kube.access import open_access
from callcluster_operator.kube.client import KubeCluster
from kit.apiserver import ROOT, ApiServer, find_assets
from kit.callclusters import Eyes
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.pods import Kubelet
from kit.specs import callcluster, room
from signaling import cpu_seconds

NAMESPACE = "bench"
PASSES = "callcluster_operator_reconciles_total"
CALLS = "callcluster_operator_api_calls_total"
WRITES = "callcluster_operator_writes_total"


QUIET = {"emptyTimeoutSeconds": 0}
"""Rooms that don't end while they are looked at."""


def emit(name: str, unit: str, values: list[float], aim: str = "") -> None:
    """Print one figure."""
    figure = {"bench": "reconcile", "name": name, "unit": unit, "median": statistics.median(values)}
    print(json.dumps({**figure, "values": values, **({"aim": aim} if aim else {})}), flush=True)


async def passes(operator: OperatorProcess, count: int) -> None:
    """Wait until the operator has made so many more passes."""
    until = operator.metric(PASSES) + count
    await eventually(lambda: operator.metric(PASSES) >= until, within=count * 15, every=0.2)


async def quiet_passes(operator: OperatorProcess, rounds: int, what: str) -> None:
    """Cost of passes that find nothing to do."""
    await passes(operator, 2)
    calls: list[float] = []
    cpu: list[float] = []
    writes: list[float] = []
    for _ in range(rounds):
        before = (operator.metric(PASSES), operator.metric(CALLS), operator.metric(WRITES))
        spent = cpu_seconds(operator.pid)
        await passes(operator, 3)
        after = (operator.metric(PASSES), operator.metric(CALLS), operator.metric(WRITES))
        made = after[0] - before[0]
        cpu.append((cpu_seconds(operator.pid) - spent) / made * 1e3)
        calls.append((after[1] - before[1]) / made)
        writes.append((after[2] - before[2]) / made)
    emit(f"API calls a pass, lease included, {what}", "calls", calls)
    emit(f"writes of a pass, {what}", "writes", writes, "0")
    emit(f"CPU a pass, all else included, {what}", "ms CPU per pass", cpu)


async def main() -> None:
    """Measure one CallCluster, alone and with 1,000 Rooms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and 100 Rooms")
    quick = parser.parse_args().quick
    rounds, rooms = (1, 100) if quick else (3, 1000)
    with tempfile.TemporaryDirectory() as directory, ApiServer(find_assets()) as server:
        server.kubectl("apply", "-f", str(ROOT / "crds"))
        for name in ("callclusters", "rooms"):
            server.kubectl("wait", "--for=condition=Established", f"crd/{name}.callcluster.dev")
        server.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        access = await open_access(server.kubeconfig)
        cluster = KubeCluster(access.client)
        log = Path(directory) / "operator.log"
        async with Kubelet(server, cluster, NAMESPACE):
            with OperatorProcess(server.kubeconfig, log, namespaces=(NAMESPACE,)) as operator:
                path = f"/apis/callcluster.dev/v1alpha1/namespaces/{NAMESPACE}"
                server.request("POST", f"{path}/callclusters", callcluster("demo", NAMESPACE, {}))
                eyes = Eyes(cluster, NAMESPACE)
                await eventually(eyes.is_ready, within=60)
                await quiet_passes(operator, rounds, "no Rooms")
                for number in range(rooms):
                    server.request("POST", f"{path}/rooms", room(f"room-{number}", NAMESPACE, QUIET))
                await eventually(lambda: settled(server, path), within=120, every=1)
                await quiet_passes(operator, rounds, f"{rooms:,} Rooms")
        await access.close()


def settled(server: ApiServer, path: str) -> bool:
    """Whether every Room has a status."""
    found = server.request("GET", f"{path}/rooms")["items"]
    return all("conditions" in each.get("status", {}) for each in found)


if __name__ == "__main__":
    asyncio.run(main())
