"""Specs that got past the schema: written under an older one, or none at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from callcluster_operator.kube.access import open_access
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.objects import CALL_CLUSTER, Ref
from kit.apiserver import ROOT, ApiServer, AssetsMissingError, find_assets
from kit.callclusters import Eyes, condition, edit
from kit.eventually import eventually
from kit.operator_process import OperatorProcess
from kit.specs import BAD_CALLCLUSTERS, callcluster, room

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def lax_apiserver() -> Iterator[ApiServer]:
    """An API server that takes whatever calls itself a CallCluster or a Room."""
    try:
        assets = find_assets()
    except AssetsMissingError as error:
        pytest.skip(str(error))
    with ApiServer(assets) as server:
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            definition = yaml.safe_load(path.read_text())
            anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = anything
            definition["spec"]["versions"][0]["subresources"] = {"status": {}}
            server.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(definition))
            server.kubectl("wait", "--for=condition=Established", f"crd/{definition['metadata']['name']}")
        yield server


WILD_SPECS: dict[str, Any] = {
    "absent": None,
    "a-list": [],
    "a-number": 7,
    "numbers-as-words": {"domain": "calls.example.org", "turn": {"replicas": "two"}},
    "words-as-numbers": {"domain": 5},
    "nothing-in-places": {"domain": "calls.example.org", "turn": None, "signaling": None},
    "deep": {"domain": "calls.example.org", "turn": {"credentials": {"rotation": {"intervalSeconds": {}}}}},
}


WILD_ROOM_SPECS: list[Any] = [
    None,
    [],
    [1],
    "demo",
    {},
    {"clusterRef": None},
    {"clusterRef": "good"},
    {"clusterRef": {"name": 3}},
    {"clusterRef": {"name": "good"}, "maxParticipants": "many", "state": ["Open"]},
]


async def test_an_invalid_spec_is_a_condition_and_disturbs_nobody(
    lax_apiserver: ApiServer, log: Path
) -> None:
    access = await open_access(lax_apiserver.kubeconfig)
    cluster = KubeCluster(access.client)
    eyes = Eyes(cluster, "default")
    try:
        with OperatorProcess(lax_apiserver.kubeconfig, log) as operator:
            specs = {name.replace("_", "-"): spec for name, (spec, _) in BAD_CALLCLUSTERS.items()}
            for name, spec in specs.items():
                await cluster.create(callcluster(name, "default", spec))
            for name, wild in WILD_SPECS.items():
                bad = callcluster(name, "default", {})
                await cluster.create({**bad, "spec": wild} if wild is not None else _without_spec(bad))
            for number, wild in enumerate(WILD_ROOM_SPECS):
                bad = room(f"r-{number}", "default", {})
                await cluster.create({**bad, "spec": wild} if wild is not None else _without_spec(bad))
            await cluster.create(callcluster("good", "default", {}))

            async def good_is_served() -> bool:
                return len(await eyes.children("good")) > 10

            await eventually(good_is_served, within=60)

            async def all_told() -> bool:
                for name in (*specs, *WILD_SPECS):
                    status = (await eyes.callcluster(name)).get("status", {})
                    ready = condition(status, "Ready")
                    assert (ready.get("status"), ready.get("reason")) == ("False", "InvalidSpec"), name
                    assert ready["message"].startswith(("spec", "metadata")), ready["message"]
                return True

            await eventually(all_told, within=60)
            for name in (*specs, *WILD_SPECS):
                assert await eyes.children(name) == {}

            await edit(
                cluster,
                Ref(CALL_CLUSTER, "default", "domain-missing"),
                lambda found: found.update(spec={"domain": "calls.example.org"}),
            )

            async def mended() -> bool:
                return len(await eyes.children("domain-missing")) > 10

            await eventually(mended, within=60)
            await eventually(lambda: operator.metric("callcluster_operator_leader") == 1)
            assert "Traceback" not in operator.output()
    finally:
        await access.close()


def _without_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in manifest.items() if name != "spec"}
