"""What the pods may do, and what they are told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from callcluster_common.environment import Environment
from callcluster_operator.objects import (
    CHILD_KINDS,
    DEPLOYMENT,
    NETWORK_POLICY,
    POD,
    POD_DISRUPTION_BUDGET,
    SECRET,
    SERVICE,
    Object,
    Ref,
)
from callcluster_operator.observed import Platform
from callcluster_operator.planning import names
from callcluster_sfu import settings as sfu_settings
from callcluster_signaling import settings as signaling_settings
from callcluster_turn import settings as turn_settings
from kit.plan_executor import PLATFORM, World
from kit.plan_objects import NAMESPACE, callcluster

FULL: dict[str, Any] = {
    "tls": {"secretRef": {"name": "turn-tls"}},
    "signaling": {"auth": {"guests": "Allowed"}, "drain": {"spreadSeconds": 30}, "corsOrigins": ["*"]},
    "turn": {
        "replicas": 2,
        "peerPolicy": {"allowedCIDRs": ["10.1.2.3/16", "10.9.0.0/24"], "deniedCIDRs": ["2001:db8::1/32"]},
        "quota": {
            "allocationsPerUser": 20,
            "totalAllocations": 500,
            "bitsPerSecondPerAllocation": 8_000_000,
        },
        "drain": {"timeoutSeconds": 900},
    },
    "sfu": {
        "replicas": 2,
        "roomsPerReplica": 7,
        "participantsPerReplica": 90,
        "drain": {"timeoutSeconds": 300},
        "logLevel": "warning",
    },
}


def world_of(platform: Platform = PLATFORM, **spec: Any) -> World:
    world = World(platform=platform)
    world.put(callcluster("cc", **spec))
    world.settle("cc")
    return world


def pod_specs(world: World) -> dict[str, Any]:
    found = {obj["metadata"]["name"]: obj["spec"]["template"]["spec"] for obj in world.of_kind(DEPLOYMENT)}
    servers = (*world.turn_pods(), *world.sfu_pods())
    return found | {pod["metadata"]["name"]: pod["spec"] for pod in servers}


def variables(spec: Object) -> dict[str, str]:
    """The container's environment, with stand-ins for what comes from elsewhere."""
    stand_ins = {"LISTENING_IP": "10.0.0.1", "RELAY_IP": "10.0.0.1", "CONTROL_HOST": "10.0.0.1"}
    stand_ins |= {"JWT_SECRET": "x" * 32, "REDIS_URL": "redis://redis", "ROOM_SALT": "salt"}
    (container,) = spec["containers"]
    return {
        variable["name"]: variable.get("value", "") or stand_ins.get(variable["name"], "")
        for variable in container["env"]
    }


@pytest.mark.parametrize("spec", [{}, FULL], ids=["default", "full"])
def test_every_pod_is_confined(spec: dict[str, Any]) -> None:
    for name, pod in pod_specs(world_of(**spec)).items():
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]["memory"]
        writable = [m for m in container.get("volumeMounts", ()) if not m.get("readOnly")]
        volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
        assert all(volumes[m["name"]].get("emptyDir", {}).get("medium") == "Memory" for m in writable)


@pytest.mark.parametrize("spec", [{}, FULL], ids=["default", "full"])
def test_every_child_carries_labels_owner_and_hash(spec: dict[str, Any]) -> None:
    world = world_of(**spec)
    kinds = {kind.kind for kind in CHILD_KINDS}
    children = [
        obj
        for ref, obj in world.objects.items()
        if ref.kind.kind in kinds and (ref.kind != POD or "-turn-" in ref.name or "-sfu-" in ref.name)
    ]
    assert len(children) >= 15
    for child in children:
        meta = child["metadata"]
        expected = {"name", "instance", "component", "managed-by", "part-of"}
        assert expected <= {label.removeprefix("app.kubernetes.io/") for label in meta["labels"]}
        assert meta["ownerReferences"][0]["controller"] is True
        assert meta["annotations"][names.APPLIED_HASH]


def test_the_agent_understands_what_it_is_told() -> None:
    world = world_of(**FULL)
    read = turn_settings.read(variables(pod_specs(world)["cc-turn-1"]))
    assert (read.listening_port, read.control_port, read.min_port, read.max_port) == (
        3480,
        9601,
        21000,
        21999,
    )
    assert read.tls is not None
    assert read.tls.port == 5350
    assert (read.user_quota, read.total_quota, read.max_bps) == (20, 500, 1_000_000)
    assert [str(network) for network in read.peers.allowed] == ["10.1.0.0/16", "10.9.0.0/24"]
    assert [str(network) for network in read.peers.denied] == ["2001:db8::/32"]
    assert (read.realm, read.drain_timeout_seconds) == ("calls.example.org", 900)


def test_the_agent_understands_the_defaults() -> None:
    read = turn_settings.read(variables(pod_specs(world_of())["cc-turn-0"]))
    assert (read.tls, read.max_bps, read.total_quota) == (None, 0, 1000)


def test_signaling_understands_what_it_is_told() -> None:
    read = signaling_settings.read(Environment(variables(pod_specs(world_of(**FULL))["cc-signaling"])))
    assert (read.port, read.control_port, read.guest_access) == (3000, 9090, True)
    assert (read.cors_origins, read.drain_spread_seconds) == (("*",), 30)
    default = signaling_settings.read(Environment(variables(pod_specs(world_of())["cc-signaling"])))
    assert (default.cors_origins, default.guest_access) == (("https://calls.example.org",), False)


@pytest.mark.parametrize(
    ("name", "grace"),
    [("cc-signaling", 45), ("cc-turn-0", 930), ("cc-sfu-0", 330)],
    ids=["signaling", "turn", "sfu"],
)
def test_the_grace_period_follows_from_the_drain(name: str, grace: int) -> None:
    assert pod_specs(world_of(**FULL))[name]["terminationGracePeriodSeconds"] == grace


def test_every_file_that_a_container_reads_is_mounted() -> None:
    for name, pod in pod_specs(world_of(**FULL)).items():
        (container,) = pod["containers"]
        mounts = [mount["mountPath"] + "/" for mount in container.get("volumeMounts", ())]
        paths = [value for key, value in variables(pod).items() if key.endswith(("_FILE", "_DIR"))]
        for path in paths:
            assert any((path + "/").startswith(mount) for mount in mounts), (name, path)
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        assert {mount["name"] for mount in container.get("volumeMounts", ())} == volumes


def test_host_ports_are_listeners_and_control_port_alone() -> None:
    (container,) = pod_specs(world_of(**FULL))["cc-turn-0"]["containers"]
    declared = {(port["name"], port["hostPort"], port["containerPort"]) for port in container["ports"]}
    assert declared == {
        ("turn-udp", 3478, 3478),
        ("turn-tcp", 3478, 3478),
        ("turn-tls", 5349, 5349),
        ("control", 9600, 9600),
    }


def test_a_template_replaces_image_and_resources() -> None:
    own = {"image": "registry.example/turn:9", "resources": {"limits": {"memory": "1Gi"}}}
    redis = {"resources": {"limits": {"memory": "400Mi"}}}
    specs = pod_specs(world_of(template={"turn": own, "redis": redis}))
    (turn,) = specs["cc-turn-0"]["containers"]
    assert (turn["image"], turn["resources"]) == (own["image"], own["resources"])
    (store,) = specs["cc-redis"]["containers"]
    assert store["args"][store["args"].index("--maxmemory") + 1] == str(300 * 1024**2)
    (signaling,) = specs["cc-signaling"]["containers"]
    assert signaling["image"] == PLATFORM.signaling_image


def test_the_sfu_understands_what_it_is_told() -> None:
    world = world_of(**FULL)
    told = variables(pod_specs(world)["cc-sfu-1"])
    (container,) = pod_specs(world)["cc-sfu-1"]["containers"]
    sources = {variable["name"]: variable.get("valueFrom") for variable in container["env"]}
    stand_ins = {"SFU_HOST": "10.0.0.1", "CONTROL_HOST": "10.0.0.1", "REDIS_URL": "redis://redis"}
    read = sfu_settings.read(Environment({**told, **stand_ins}))
    assert (read.port, read.control_port, read.drain_seconds) == (28001, 9701, 300)
    assert (read.max_rooms, read.max_participants, read.own_room) == (7, 90, "")
    assert sources["REDIS_URL"] == {"secretKeyRef": {"name": "cc-redis", "key": "url"}}
    assert sources["SFU_HOST"] == sources["CONTROL_HOST"] == {"fieldRef": {"fieldPath": "status.hostIP"}}
    volumes = {volume["name"]: volume for volume in pod_specs(world)["cc-sfu-1"]["volumes"]}
    (item,) = volumes["pod"]["downwardAPI"]["items"]
    assert told["SFU_ADDRESSES_FILE"].endswith("/" + item["path"])
    assert names.EXTERNAL_ADDRESS in item["fieldRef"]["fieldPath"]


def test_a_redis_of_yours_leaves_none_of_ours() -> None:
    world = world_of()
    assert Ref(DEPLOYMENT, NAMESPACE, "cc-redis") in world.objects
    world.put(callcluster("cc", redis={"mode": "External", "urlSecretRef": {"name": "mine", "key": "u"}}))
    world.settle("cc")
    assert not [ref for ref in world.objects if ref.name.startswith("cc-redis") and ref.kind != POD]
    (container,) = pod_specs(world)["cc-signaling"]["containers"]
    url = next(variable for variable in container["env"] if variable["name"] == "REDIS_URL")
    assert url["valueFrom"] == {"secretKeyRef": {"name": "mine", "key": "u"}}


def test_without_a_redis_to_run_signaling_gets_the_platform_s() -> None:
    platform = Platform("s", "t", "r", "f", service_host="127.0.0.1", redis_url="memory://")
    world = world_of(platform)
    assert not [ref for ref in world.objects if ref.name.startswith("cc-redis")]
    read = variables(pod_specs(world)["cc-signaling"])
    assert read["REDIS_URL"] == "memory://"
    assert "http://127.0.0.1:3000" in read["CORS_ORIGINS"]
    assert world.status("cc")["endpoints"]["signalingURL"] == "ws://127.0.0.1:3000"


def test_policies_keep_redis_to_signaling_and_can_be_left_to_you() -> None:
    world = world_of(turn={"replicas": 3})
    redis = world.objects[Ref(NETWORK_POLICY, NAMESPACE, "cc-redis")]["spec"]
    (rule,) = redis["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"][names.COMPONENT_LABEL] == names.SIGNALING
    assert redis["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in redis
    budgets = {b["metadata"]["name"]: b["spec"] for b in world.of_kind(POD_DISRUPTION_BUDGET)}
    assert budgets["cc-signaling"]["maxUnavailable"] == 1
    assert budgets["cc-turn"]["minAvailable"] == 2
    world.put(callcluster("cc", networkPolicy="Unmanaged", podDisruptionBudget="Unmanaged"))
    world.settle("cc")
    assert not world.of_kind(NETWORK_POLICY)
    assert not world.of_kind(POD_DISRUPTION_BUDGET)


def test_redis_lets_sfus_in_which_no_selector_can_name() -> None:
    world = world_of(sfu={"replicas": 3})
    (rule,) = world.objects[Ref(NETWORK_POLICY, NAMESPACE, "cc-redis")]["spec"]["ingress"]
    assert rule == {"ports": [{"port": 6379, "protocol": "TCP"}]}
    budgets = {b["metadata"]["name"]: b["spec"] for b in world.of_kind(POD_DISRUPTION_BUDGET)}
    assert budgets["cc-sfu"]["minAvailable"] == 2


def test_no_key_stands_outside_of_secrets() -> None:
    world = world_of(**FULL)
    values = [
        value for secret in world.of_kind(SECRET) for value in secret["data"].values() if len(value) > 20
    ]
    assert len(values) >= 6
    text = json.dumps([obj for ref, obj in world.objects.items() if ref.kind != SECRET])
    assert not any(value in text for value in values)


def test_services_select_the_pods_of_their_deployment() -> None:
    world = world_of()
    for service in world.of_kind(SERVICE):
        deployment = world.objects[Ref(DEPLOYMENT, NAMESPACE, service["metadata"]["name"])]
        labels = deployment["spec"]["template"]["metadata"]["labels"].items()
        assert service["spec"]["selector"].items() <= labels
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
