"""What the operator's pod would give it."""

from __future__ import annotations

import os
from pathlib import Path


def operator_environment(
    kubeconfig: Path,
    log: Path,
    *,
    namespaces: tuple[str, ...] = (),
    name: str = "operator-0",
    **variables: str,
) -> dict[str, str]:
    """The environment of an operator.

    Args:
        kubeconfig: whom it logs in as.
        log: where its output goes; its home is the directory beside it.
        namespaces: whose CallClusters it looks after; none means all.
        name: its POD_NAME.
        variables: more environment.
    """
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(log.parent),
        "KUBECONFIG": str(kubeconfig),
        "OPERATOR_NAMESPACES": ",".join(namespaces),
        "SIGNALING_IMAGE": "callcluster/signaling:test",
        "TURN_IMAGE": "callcluster/turn:test",
        "REDIS_IMAGE": "redis:test",
        "SFU_IMAGE": "callcluster/sfu:test",
        "POD_NAME": name,
        "LEASE_NAMESPACE": "default",
        "HEALTH_HOST": "127.0.0.1",
        "HEALTH_PORT": "0",
        **variables,
    }
