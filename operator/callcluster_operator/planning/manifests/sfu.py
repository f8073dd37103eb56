"""The pod of one SFU."""

from __future__ import annotations

from callcluster_operator.objects import POD, Object
from callcluster_operator.planning import names
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests import redis
from callcluster_operator.planning.manifests.common import (
    ADDRESS_FILE,
    CONTROL_KEYS_DIR,
    POD_DIR,
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
from callcluster_operator.planning.ports import SFUPorts

MEDIA_PORT = "media"
"""Name of the UDP port."""
ROOM = "SFU_ROOM"
"""The variable that names an SFU's only room."""
GRACE_MARGIN_SECONDS = 30
"""What an SFU needs after its drain has timed out: giving up its seats, and a slow node."""

# Packets are one thread's work, so that an SFU is a core at most. There is no CPU limit: throttling is
# heard as jitter.
RESOURCES = {"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}


def pod_manifest(installation: Installation, ordinal: int, ports: SFUPorts, room: str = "") -> Object:
    """A bare pod on the host network.

    No controller of Kubernetes replaces a pod only after its last participant has left, so ours does.

    Args:
        installation: the CallCluster.
        ordinal: the number at the end of its name.
        ports: its ports.
        room: opaque name of the only room that it serves; empty where it takes any.
    """
    spec, sfu, name = installation.spec, installation.spec.sfu, installation.name
    container = {
        "image": spec.template.sfu.image or installation.platform.sfu_image,
        "env": [
            redis.url(installation),
            env_from_field("SFU_HOST", "status.hostIP"),
            env("SFU_PORT", ports.media),
            env("SFU_ADDRESSES_FILE", f"{POD_DIR}/{ADDRESS_FILE}"),
            env_from_field("CONTROL_HOST", "status.hostIP"),
            env("CONTROL_PORT", ports.control),
            env("CONTROL_KEYS_FILE", f"{CONTROL_KEYS_DIR}/keys.json"),
            env("MAX_ROOMS", sfu.rooms_per_replica),
            env("MAX_PARTICIPANTS", sfu.participants_per_replica),
            *([env(ROOM, room)] if room else []),
            env("DRAIN_SECONDS", sfu.drain.timeout_seconds),
            env("LOG_LEVEL", sfu.log_level),
            env_from_field("POD_NAME", "metadata.name"),
        ],
        "ports": [
            host_port(MEDIA_PORT, ports.media, "UDP"),
            host_port(names.CONTROL_PORT, ports.control, "TCP"),
        ],
        # Without a token the control port says nothing but whether the UDP port answers.
        "readinessProbe": http_probe("/healthz", names.CONTROL_PORT, period=2, failures=2),
        # Patient: a restart cuts every call of the SFU.
        "livenessProbe": http_probe("/healthz", names.CONTROL_PORT, period=10, failures=6),
        "resources": resources(spec.template.sfu, RESOURCES),
        "volumeMounts": [mount("control-keys", CONTROL_KEYS_DIR), mount("pod", POD_DIR)],
    }
    volumes = [
        secret_volume("control-keys", names.control_secret(name)),
        address_volume("pod"),
    ]
    pod = manifest(
        installation,
        POD,
        names.server_pod(name, names.SFU, ordinal),
        names.SFU,
        spec=pod_spec(
            installation,
            names.SFU,
            container,
            hostNetwork=True,
            # The managed Redis has a name of the cluster, which the node's own resolver does not know.
            dnsPolicy="ClusterFirstWithHostNet",
            restartPolicy="Always",
            volumes=volumes,
            terminationGracePeriodSeconds=sfu.drain.timeout_seconds + GRACE_MARGIN_SECONDS,
        ),
    )
    if room:
        pod["metadata"]["labels"][names.ROOM_LABEL] = room
    return pod
