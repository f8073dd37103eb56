"""The operator's settings: read from the environment once, by nobody else."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from callcluster_common.environment import Environment, SettingError
from callcluster_common.logs import LEVELS

from callcluster_operator.observed import Platform

DEFAULT_HEALTH_PORT = 8080


@dataclass(frozen=True)
class Settings:
    """All of them."""

    namespaces: tuple[str, ...]
    """``OPERATOR_NAMESPACES``: whose CallClusters to look after; empty means all."""
    platform: Platform
    """``SIGNALING_IMAGE``, ``TURN_IMAGE``, ``REDIS_IMAGE``, ``SFU_IMAGE``."""
    identity: str
    """``POD_NAME`` and a random part, since a restarted container is another candidate."""
    lease_namespace: str
    """``LEASE_NAMESPACE``: the operator's own namespace."""
    lease_name: str
    """``LEASE_NAME``"""
    health_host: str
    """``HEALTH_HOST``"""
    health_port: int
    """``HEALTH_PORT``; 0 picks a free one."""
    kubeconfig: Path | None
    """``KUBECONFIG``; absent means the pod's service account."""
    log_level: str
    """``LOG_LEVEL``"""


def from_env(variables: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        SettingError: one is missing or unusable.
    """
    environment = Environment(variables)
    log_level = environment.text("LOG_LEVEL", "info").lower()
    if log_level not in LEVELS:
        raise SettingError(f"LOG_LEVEL must be one of {', '.join(LEVELS)}, not {log_level!r}")
    return Settings(
        namespaces=environment.words("OPERATOR_NAMESPACES"),
        platform=Platform(
            signaling_image=environment.text("SIGNALING_IMAGE"),
            turn_image=environment.text("TURN_IMAGE"),
            redis_image=environment.text("REDIS_IMAGE"),
            sfu_image=environment.text("SFU_IMAGE"),
        ),
        identity=f"{environment.text('POD_NAME')}-{secrets.token_hex(4)}",
        lease_namespace=environment.text("LEASE_NAMESPACE"),
        lease_name=environment.text("LEASE_NAME", "callcluster-operator"),
        health_host=environment.text("HEALTH_HOST", "0.0.0.0"),
        health_port=environment.integer("HEALTH_PORT", DEFAULT_HEALTH_PORT, low=0, high=65535),
        kubeconfig=environment.path("KUBECONFIG"),
        log_level=log_level,
    )
