"""The managed Redis: a bus and short memory, nothing that would be worth a disk."""

from __future__ import annotations

from callcluster_operator.objects import DEPLOYMENT, SERVICE, Object
from callcluster_operator.planning import names
from callcluster_operator.planning.drift import quantity
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests import secrets
from callcluster_operator.planning.manifests.common import (
    env,
    env_from_secret,
    manifest,
    pod_spec,
    resources,
)

PORT = 6379
PORT_NAME = "redis"

# Rooms with their last minute of messages: some kilobytes each.
RESOURCES = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}


def deployment_manifest(installation: Installation) -> Object:
    """One pod without persistence: after a restart the signaling pods register everything anew."""
    name, template = installation.name, installation.spec.template.redis
    wanted = resources(template, RESOURCES)
    args = ["--port", str(PORT), "--save", "", "--appendonly", "no"]
    args += ["--requirepass", "$(REDIS_PASSWORD)", "--maxmemory-policy", "noeviction"]
    limit = quantity(wanted.get("limits", {}).get("memory"))
    if limit:
        # Redis then says that it is full, instead of being killed. The rest is for buffers and waste.
        args += ["--maxmemory", str(int(limit * 3 / 4))]
    probe = {"tcpSocket": {"port": PORT_NAME}, "periodSeconds": 5, "timeoutSeconds": 2}
    container = {
        "image": template.image or installation.platform.redis_image,
        "command": ["redis-server"],
        "args": args,
        "env": [env_from_secret("REDIS_PASSWORD", names.redis_secret(name), secrets.REDIS_PASSWORD_KEY)],
        "ports": [{"name": PORT_NAME, "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {**probe, "periodSeconds": 2},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
        "resources": wanted,
    }
    return manifest(
        installation,
        DEPLOYMENT,
        names.workload(name, names.REDIS),
        names.REDIS,
        spec={
            "replicas": 1,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": names.component_selector(name, names.REDIS)},
            # Two at a time would split the rooms between them.
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {"labels": names.labels(name, names.REDIS)},
                "spec": pod_spec(installation, names.REDIS, container, terminationGracePeriodSeconds=5),
            },
        },
    )


def url(installation: Installation) -> dict[str, object]:
    """The variable that tells a pod where Redis is: ours, yours, or what the platform has instead."""
    given = installation.spec.redis.url_secret_ref
    if given is not None:
        return env_from_secret("REDIS_URL", given.name, given.key)
    if installation.platform.redis_url is not None:
        return env("REDIS_URL", installation.platform.redis_url)
    return env_from_secret("REDIS_URL", names.redis_secret(installation.name), secrets.REDIS_URL_KEY)


def service_manifest(installation: Installation) -> Object:
    """Where the signaling pods reach it."""
    return manifest(
        installation,
        SERVICE,
        names.workload(installation.name, names.REDIS),
        names.REDIS,
        spec={
            "selector": names.component_selector(installation.name, names.REDIS),
            "ports": [{"name": PORT_NAME, "port": PORT, "targetPort": PORT_NAME, "protocol": "TCP"}],
        },
    )
