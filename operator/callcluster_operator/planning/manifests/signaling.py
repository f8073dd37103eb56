"""The signaling tier: Deployment, Service, and the directive that its pods follow."""

from __future__ import annotations

from callcluster_common import directive
from callcluster_common.control import DEFAULT_PORT
from callcluster_common.directive import Directive

from callcluster_operator.objects import CONFIG_MAP, DEPLOYMENT, SERVICE, Object
from callcluster_operator.planning import names
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests import redis, secrets
from callcluster_operator.planning.manifests.common import (
    CONTROL_KEYS_DIR,
    TURN_KEYS_DIR,
    env,
    env_from_field,
    env_from_secret,
    http_probe,
    manifest,
    mount,
    pod_spec,
    resources,
    secret_volume,
)

PORT = 3000
HTTP_PORT = "http"

GRACE_MARGIN_SECONDS = 15
"""What a pod needs after the last session has left: flushing to Redis, and a slow node."""

# A pod holds some 2000 sessions at 20 KiB and relays their messages on a fraction of a core. There is no
# CPU limit: throttling would delay every message of every call on the pod.
RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}

DIRECTIVE_DIR = "/etc/callcluster/directive"


def deployment_manifest(
    installation: Installation, *, replicas: int, annotations: dict[str, str]
) -> Object:
    """The pods. Keys and directive are files that they follow, so that no change of these restarts one."""
    spec, name = installation.spec, installation.name
    jwt = spec.signaling.auth.jwt_secret_ref
    container = {
        "image": spec.template.signaling.image or installation.platform.signaling_image,
        "env": [
            env("PORT", PORT),
            redis.url(installation),
            env("LOG_LEVEL", spec.signaling.log_level),
            env("CORS_ORIGINS", ",".join(_origins(installation))),
            env_from_secret(
                "JWT_SECRET",
                jwt.name if jwt else names.jwt_secret(name),
                jwt.key if jwt else secrets.JWT_KEY,
            ),
            env("GUEST_ACCESS", "true" if spec.signaling.auth.guests == "Allowed" else "false"),
            env("CONTROL_PORT", DEFAULT_PORT),
            env("CONTROL_KEYS_FILE", f"{CONTROL_KEYS_DIR}/keys.json"),
            env("TURN_KEYS_FILE", f"{TURN_KEYS_DIR}/keys.json"),
            env("DIRECTIVE_FILE", f"{DIRECTIVE_DIR}/{directive.DIRECTIVE_FILE}"),
            env_from_secret("ROOM_SALT", names.salt_secret(name), secrets.SALT_KEY),
            env("DRAIN_SPREAD_SECONDS", spec.signaling.drain.spread_seconds),
            env_from_field("POD_NAME", "metadata.name"),
        ],
        "ports": [
            {"name": HTTP_PORT, "containerPort": PORT, "protocol": "TCP"},
            {"name": names.CONTROL_PORT, "containerPort": DEFAULT_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": http_probe("/readyz", names.CONTROL_PORT, period=2, failures=2),
        # Patient: a restart drops every session of the pod.
        "livenessProbe": http_probe("/healthz", names.CONTROL_PORT, period=10, failures=6),
        "resources": resources(spec.template.signaling, RESOURCES),
        "volumeMounts": [
            mount("turn-keys", TURN_KEYS_DIR),
            mount("control-keys", CONTROL_KEYS_DIR),
            mount("directive", DIRECTIVE_DIR),
        ],
    }
    volumes = [
        secret_volume("turn-keys", names.turn_keys_secret(name)),
        secret_volume("control-keys", names.control_secret(name)),
        {"name": "directive", "configMap": {"name": names.directive_config_map(name)}},
    ]
    return manifest(
        installation,
        DEPLOYMENT,
        names.workload(name, names.SIGNALING),
        names.SIGNALING,
        annotations=annotations,
        spec={
            "replicas": replicas,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": names.component_selector(name, names.SIGNALING)},
            # A new pod is there before an old one goes, so that sessions always have somewhere to resume.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": names.labels(name, names.SIGNALING)},
                "spec": pod_spec(
                    installation,
                    names.SIGNALING,
                    container,
                    volumes=volumes,
                    terminationGracePeriodSeconds=(
                        spec.signaling.drain.spread_seconds + GRACE_MARGIN_SECONDS
                    ),
                ),
            },
        },
    )


def service_manifest(installation: Installation) -> Object:
    """Where an ingress or the pods' neighbours reach signaling."""
    return manifest(
        installation,
        SERVICE,
        names.workload(installation.name, names.SIGNALING),
        names.SIGNALING,
        spec={
            "selector": names.component_selector(installation.name, names.SIGNALING),
            "ports": [{"name": HTTP_PORT, "port": PORT, "targetPort": HTTP_PORT, "protocol": "TCP"}],
        },
    )


def directive_manifest(installation: Installation, content: Directive) -> Object:
    """What the pods are told."""
    return manifest(
        installation,
        CONFIG_MAP,
        names.directive_config_map(installation.name),
        names.SIGNALING,
        data={directive.DIRECTIVE_FILE: directive.encode(content).decode()},
    )


def _origins(installation: Installation) -> tuple[str, ...]:
    given = installation.spec.signaling.cors_origins
    if given:
        return given
    own = (f"https://{installation.spec.domain}",)
    host = installation.platform.service_host
    return (*own, f"http://{host}:{installation.platform.signaling_port}") if host else own
