"""The schemas in crds/, as a real API server applies them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from callcluster_operator.cluster import InvalidObjectError
from callcluster_operator.kube.client import KubeCluster
from callcluster_operator.objects import CALL_CLUSTER, ROOM, Ref
from kit.apiserver import ROOT, ApiServer
from kit.specs import (
    BAD_CALLCLUSTERS,
    BAD_ROOMS,
    GOOD_CALLCLUSTERS,
    GOOD_ROOMS,
    Spec,
    callcluster,
    room,
)

pytestmark = pytest.mark.apiserver


def rules(schema: dict[str, Any]) -> list[str]:
    """Messages of all CEL rules in a schema."""
    found = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    children = [*schema.get("properties", {}).values(), *filter(None, [schema.get("items")])]
    return found + [message for child in children for message in rules(child)]


@pytest.mark.parametrize(
    "how", [[], ["--server-side", "--force-conflicts"]], ids=["client-side", "server-side"]
)
def test_the_definitions_can_be_applied(apiserver: ApiServer, how: list[str]) -> None:
    run = apiserver.kubectl(
        "apply", *how, "--force-conflicts" if how else "--validate=strict", "-f", str(ROOT / "crds")
    )
    assert run.stdout.count("customresourcedefinition") == 2


@pytest.mark.parametrize("case", GOOD_CALLCLUSTERS)
async def test_a_good_callcluster_is_accepted(cluster: KubeCluster, namespace: str, case: str) -> None:
    made = await cluster.create(callcluster("demo", namespace, GOOD_CALLCLUSTERS[case]))
    assert made["spec"]["turn"]["credentials"]["rotation"]["skewSeconds"] >= 1, "defaults are filled in"


EVERY_PART: dict[str, Spec] = {
    "CallCluster": {
        "signaling": {"autoscaling": {}, "auth": {"jwtSecretRef": {"name": "mine"}}},
        "redis": {"mode": "External", "urlSecretRef": {"name": "mine"}},
    },
    "Room": {},
}


def defaults(schema: dict[str, Any], at: str = "") -> dict[str, Any]:
    """Every default that is a value, by its path."""
    found = {}
    for name, field in schema.get("properties", {}).items():
        path = f"{at}.{name}" if at else name
        if "default" in field and field["default"] != {}:
            found[path] = field["default"]
        found |= defaults(field, path)
        assert "default" not in str(field.get("items", {})), "lists of objects are not looked into"
    return found


@pytest.mark.parametrize("kind", EVERY_PART)
async def test_every_default_of_the_schema_is_filled_in(
    cluster: KubeCluster, namespace: str, kind: str
) -> None:
    definition = yaml.safe_load((ROOT / "crds" / f"{kind.lower()}s.yaml").read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    make = callcluster if kind == "CallCluster" else room
    wanted = defaults(schema["properties"]["spec"])
    assert len(wanted) >= 6

    bare = await cluster.create(make("bare", namespace, {}))
    full = await cluster.create(make("full", namespace, EVERY_PART[kind]))
    for path, default in wanted.items():
        if path == "redis.mode":
            assert bare["spec"]["redis"]["mode"] == default, "the full one needs the other mode"
            continue
        value: Any = full["spec"]
        for step in path.split("."):
            value = value[step]
        assert value == default, path


@pytest.mark.parametrize("case", BAD_CALLCLUSTERS)
async def test_a_bad_callcluster_is_refused(cluster: KubeCluster, namespace: str, case: str) -> None:
    spec, message = BAD_CALLCLUSTERS[case]
    with pytest.raises(InvalidObjectError) as refusal:
        await cluster.create(callcluster("demo", namespace, spec))
    assert message in str(refusal.value)


@pytest.mark.parametrize("name", ["0-digit-first", "with.dot", "x" * 46])
async def test_a_callcluster_whose_name_can_name_no_service_is_refused(
    cluster: KubeCluster, namespace: str, name: str
) -> None:
    with pytest.raises(InvalidObjectError, match="at most 45 lower case letters"):
        await cluster.create(callcluster(name, namespace, {}))


@pytest.mark.parametrize("case", GOOD_ROOMS)
async def test_a_good_room_is_accepted(cluster: KubeCluster, namespace: str, case: str) -> None:
    made = await cluster.create(room("r-1", namespace, GOOD_ROOMS[case]))
    assert made["spec"]["encryption"] == {"mode": "Required"}


@pytest.mark.parametrize("case", BAD_ROOMS)
async def test_a_bad_room_is_refused(cluster: KubeCluster, namespace: str, case: str) -> None:
    spec, message = BAD_ROOMS[case]
    with pytest.raises(InvalidObjectError) as refusal:
        await cluster.create(room("r-1", namespace, spec))
    assert message in str(refusal.value)


async def test_a_room_with_a_name_too_long_for_an_id_is_refused(
    cluster: KubeCluster, namespace: str
) -> None:
    with pytest.raises(InvalidObjectError, match="at most 128 characters"):
        await cluster.create(room("r" * 129, namespace, {}))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ({}, {"clusterRef": {"name": "other"}}, "clusterRef is immutable: make a new Room"),
        ({"state": "Closed"}, {"state": "Open"}, "a closed room does not open again: make a new Room"),
        ({}, {"isolation": "Dedicated"}, "isolation is immutable: make a new Room"),
    ],
    ids=["other cluster", "opened again", "isolated later"],
)
async def test_a_room_stays_what_it_is(
    cluster: KubeCluster, namespace: str, before: Spec, after: Spec, message: str
) -> None:
    await cluster.create(room("r-1", namespace, before))
    with pytest.raises(InvalidObjectError) as refusal:
        await cluster.apply(room("r-1", namespace, after))
    assert message in str(refusal.value)


def test_every_rule_has_a_case() -> None:
    """A rule that nobody tries may be wrong for ever."""
    tried = [message for _, message in (*BAD_CALLCLUSTERS.values(), *BAD_ROOMS.values())]
    tried += ["at most 45 lower case letters", "at most 128 characters", "immutable", "does not open again"]
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        schema = yaml.safe_load(path.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for message in rules(schema):
            assert any(fragment in message for fragment in tried), f"{path.name}: {message}"


def test_an_unknown_field_is_refused_by_name(apiserver: ApiServer, namespace: str) -> None:
    manifest = json.dumps(callcluster("demo", namespace, {"domains": ["a.example"]}))
    refused = apiserver.kubectl("apply", "-f", "-", stdin=manifest, check=False)
    assert refused.returncode == 1
    assert 'unknown field "spec.domains"' in refused.stderr


def test_the_examples_are_accepted(apiserver: ApiServer, namespace: str) -> None:
    for path in sorted((ROOT / "examples").glob("*.yaml")):
        apiserver.kubectl("apply", "-n", namespace, "--dry-run=server", "-f", str(path))


async def test_kubectl_shows_what_people_ask_for(
    apiserver: ApiServer, cluster: KubeCluster, namespace: str
) -> None:
    await cluster.create(callcluster("demo", namespace, {}))
    await cluster.create(room("r-1", namespace, {}))
    ready = {"type": "Ready", "status": "False", "reason": "PodsNotReady", "message": "no pod is ready"}
    ready["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    await cluster.write_status(
        Ref(CALL_CLUSTER, namespace, "demo"),
        {"conditions": [ready], "signaling": {"readyReplicas": 2}, "turn": {"readyReplicas": 1}},
    )
    await cluster.write_status(Ref(ROOM, namespace, "r-1"), {"participants": 3})
    shown = apiserver.kubectl("get", "calls", "-n", namespace).stdout
    header, row = (line.split() for line in shown.splitlines()[:2])
    assert header[:5] == ["NAME", "READY", "REASON", "SIGNALING", "TURN"]
    assert row[1:5] == ["False", "PodsNotReady", "2", "1"]
    assert "PARTICIPANTS" in shown
    assert apiserver.kubectl("get", "cc,room", "-n", namespace, "-o", "name").stdout.count("/") == 2


async def test_the_scale_subresource_sets_the_signaling_replicas(
    apiserver: ApiServer, cluster: KubeCluster, namespace: str
) -> None:
    await cluster.create(callcluster("demo", namespace, {"signaling": {"replicas": 2}}))
    apiserver.kubectl("scale", "callcluster/demo", "-n", namespace, "--replicas=5")
    scaled = await cluster.get(Ref(CALL_CLUSTER, namespace, "demo"))
    assert scaled is not None
    assert scaled["spec"]["signaling"]["replicas"] == 5
