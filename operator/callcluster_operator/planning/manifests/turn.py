"""The pod of one TURN server."""

from __future__ import annotations

from collections.abc import Iterable

from callcluster_operator.api.parse import networks
from callcluster_operator.objects import POD, Object
from callcluster_operator.planning import names
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests.common import (
    ADDRESS_FILE,
    CONTROL_KEYS_DIR,
    POD_DIR,
    TURN_KEYS_DIR,
    address_volume,
    env,
    env_from_field,
    host_port,
    http_probe,
    manifest,
    mount,
    pod_spec,
    resources,
    secret_volume,
)
from callcluster_operator.planning.ports import Slot

GRACE_MARGIN_SECONDS = 30
"""What a server needs after its drain has timed out: ending coturn, and a slow node."""

# 21 KiB an allocation and some 10 us of CPU a packet. There is no CPU limit: throttling is heard as jitter.
RESOURCES = {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}

TLS_DIR = "/etc/callcluster/tls"
STATE_DIR = "/run/turn"
READINESS_FILE = "readiness"
"""Where the agent says ``ok``, or what is wrong."""
_IS_OK = 'read -r said < "$1" && echo "$said" && [ "$said" = ok ]'


def pod_manifest(installation: Installation, ordinal: int, slot: Slot) -> Object:
    """A bare pod on the host network.

    No controller of Kubernetes replaces a pod only after its last relay has ended, so ours does.
    """
    spec, turn, name = installation.spec, installation.spec.turn, installation.name
    has_tls = spec.tls is not None
    ports = [
        host_port("turn-udp", slot.listener, "UDP"),
        host_port("turn-tcp", slot.listener, "TCP"),
        *([host_port("turn-tls", slot.tls, "TCP")] if has_tls else []),
        host_port(names.CONTROL_PORT, slot.control, "TCP"),
    ]
    optional = []
    if turn.quota.total_allocations:
        optional.append(env("TOTAL_QUOTA", turn.quota.total_allocations))
    if has_tls:
        optional += [
            env("TLS_LISTENING_PORT", slot.tls),
            env("TLS_CERT_FILE", f"{TLS_DIR}/tls.crt"),
            env("TLS_KEY_FILE", f"{TLS_DIR}/tls.key"),
        ]
    container = {
        "image": spec.template.turn.image or installation.platform.turn_image,
        "env": [
            env_from_field("LISTENING_IP", "status.hostIP"),
            env_from_field("RELAY_IP", "status.hostIP"),
            env_from_field("CONTROL_HOST", "status.hostIP"),
            env_from_field("POD_NAME", "metadata.name"),
            env("EXTERNAL_ADDRESS_FILE", f"{POD_DIR}/{ADDRESS_FILE}"),
            env("LISTENING_PORT", slot.listener),
            env("MIN_PORT", slot.relay[0]),
            env("MAX_PORT", slot.relay[1]),
            env("CONTROL_PORT", slot.control),
            env("REALM", spec.domain),
            env("USER_QUOTA", turn.quota.allocations_per_user),
            # coturn counts bytes.
            env("MAX_BPS", turn.quota.bits_per_second_per_allocation // 8),
            env("ALLOWED_PEER_CIDRS", _listed(turn.peer_policy.allowed_cidrs)),
            env("DENIED_PEER_CIDRS", _listed(turn.peer_policy.denied_cidrs)),
            env("KEYS_FILE", f"{TURN_KEYS_DIR}/keys.json"),
            env("CONTROL_KEYS_FILE", f"{CONTROL_KEYS_DIR}/keys.json"),
            env("DRAIN_TIMEOUT_SECONDS", turn.drain.timeout_seconds),
            env("STATE_DIR", STATE_DIR),
            env("LOG_LEVEL", turn.log_level),
            *optional,
        ],
        "ports": ports,
        # By a file: without a token the control port tells the world nothing but that it lives.
        "readinessProbe": {
            "exec": {"command": ["sh", "-c", _IS_OK, "readiness", f"{STATE_DIR}/{READINESS_FILE}"]},
            "periodSeconds": 2,
            "failureThreshold": 2,
            "timeoutSeconds": 2,
        },
        # Patient: a restart drops every relay of the server.
        "livenessProbe": http_probe("/healthz", names.CONTROL_PORT, period=10, failures=6),
        "resources": resources(spec.template.turn, RESOURCES),
        "volumeMounts": [
            mount("turn-keys", TURN_KEYS_DIR),
            mount("control-keys", CONTROL_KEYS_DIR),
            mount("pod", POD_DIR),
            {"name": "state", "mountPath": STATE_DIR},
            *([mount("tls", TLS_DIR)] if has_tls else []),
        ],
    }
    volumes = [
        secret_volume("turn-keys", names.turn_keys_secret(name)),
        secret_volume("control-keys", names.control_secret(name)),
        address_volume("pod"),
        # Memory: coturn's secret table must not touch a disk.
        {"name": "state", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        *([secret_volume("tls", spec.tls.secret_ref.name)] if spec.tls is not None else []),
    ]
    pod = manifest(
        installation,
        POD,
        names.server_pod(name, names.TURN, ordinal),
        names.TURN,
        spec=pod_spec(
            installation,
            names.TURN,
            container,
            hostNetwork=True,
            restartPolicy="Always",
            volumes=volumes,
            terminationGracePeriodSeconds=turn.drain.timeout_seconds + GRACE_MARGIN_SECONDS,
        ),
    )
    pod["metadata"]["labels"][names.SLOT_LABEL] = str(slot.number)
    return pod


def _listed(given: Iterable[str]) -> str:
    return ",".join(map(str, networks(given)))
