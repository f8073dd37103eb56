"""What the manifests have in common: metadata, confinement of pods, small parts."""

from __future__ import annotations

from typing import Any

import msgspec

from callcluster_operator.api.v1alpha1 import Workload
from callcluster_operator.objects import Kind, Object
from callcluster_operator.planning import names
from callcluster_operator.planning.installation import Installation

UNPRIVILEGED = 65532
"""User and group of all our processes: no account of any image or node has it."""

TURN_KEYS_DIR = "/etc/callcluster/turn"
CONTROL_KEYS_DIR = "/etc/callcluster/control"
POD_DIR = "/etc/callcluster/pod"
ADDRESS_FILE = "external-address"
"""In ``POD_DIR`` of a pod on the host network."""


def manifest(
    installation: Installation,
    kind: Kind,
    name: str,
    component: str,
    *,
    annotations: dict[str, str] | None = None,
    **body: Any,
) -> Object:
    """An object of ours, with its labels and its owner."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": installation.namespace,
        "labels": names.labels(installation.name, component),
        "ownerReferences": [names.owner_reference(installation.observed.callcluster)],
    }
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **body}


def pod_spec(
    installation: Installation, component: str, container: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """A pod with one confined container and no access to the API server."""
    return {
        "serviceAccountName": names.workload(installation.name, component),
        "automountServiceAccountToken": False,
        # The variables of Services would mix with ours, e.g. REDIS_PORT.
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UNPRIVILEGED,
            "runAsGroup": UNPRIVILEGED,
            "fsGroup": UNPRIVILEGED,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": component,
                "imagePullPolicy": "IfNotPresent",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                **container,
            }
        ],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": names.component_selector(installation.name, component)},
            }
        ],
        **more,
    }


def resources(workload: Workload, default: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The resources that the spec names, or the default as a whole."""
    if workload.resources is None:
        return default
    given: dict[str, Any] = msgspec.to_builtins(workload.resources)
    return {part: amounts for part, amounts in given.items() if amounts}


def env(name: str, value: object) -> dict[str, Any]:
    """A variable. The API server drops empty values, so that they must not be in a manifest either."""
    text = str(value)
    return {"name": name, "value": text} if text else {"name": name}


def env_from_field(name: str, path: str) -> dict[str, Any]:
    """A variable from the pod's own object."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def env_from_secret(name: str, secret: str, key: str) -> dict[str, Any]:
    """A variable from a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def secret_volume(name: str, secret: str) -> dict[str, Any]:
    """The files of a Secret, for our group alone."""
    return {"name": name, "secret": {"secretName": secret, "defaultMode": 0o440}}


def address_volume(name: str) -> dict[str, Any]:
    """``ADDRESS_FILE`` with the pod's external address; empty until that is known."""
    path = f"metadata.annotations['{names.EXTERNAL_ADDRESS}']"
    items = [{"path": ADDRESS_FILE, "fieldRef": {"fieldPath": path}}]
    return {"name": name, "downwardAPI": {"items": items}}


def host_port(name: str, port: int, protocol: str) -> dict[str, Any]:
    """A port of the host, declared so that the scheduler gives it to one pod of a node."""
    return {"name": name, "containerPort": port, "hostPort": port, "protocol": protocol}


def mount(name: str, path: str) -> dict[str, Any]:
    """A volume that the container reads."""
    return {"name": name, "mountPath": path, "readOnly": True}


def http_probe(path: str, port: str | int, *, period: int, failures: int) -> dict[str, Any]:
    """A probe on the control port."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 2,
    }
