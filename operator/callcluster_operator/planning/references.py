"""Secrets of yours that the spec names: the operator looks whether they are there, and never into them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from callcluster_operator.api.v1alpha1 import CallClusterSpec
from callcluster_operator.planning import names
from callcluster_operator.planning.installation import Installation


@dataclass(frozen=True)
class Reference:
    """A Secret that pods of one component read."""

    component: str
    field: str
    """Where the spec names it."""
    secret: str
    keys: tuple[str, ...]


def references(spec: CallClusterSpec) -> Iterator[Reference]:
    """All Secrets that the spec names."""
    jwt, redis = spec.signaling.auth.jwt_secret_ref, spec.redis.url_secret_ref
    if jwt is not None:
        yield Reference(names.SIGNALING, "signaling.auth.jwtSecretRef", jwt.name, (jwt.key,))
    if redis is not None:
        yield Reference(names.SIGNALING, "redis.urlSecretRef", redis.name, (redis.key,))
        yield Reference(names.SFU, "redis.urlSecretRef", redis.name, (redis.key,))
    if spec.tls is not None:
        yield Reference(names.TURN, "tls.secretRef", spec.tls.secret_ref.name, ("tls.crt", "tls.key"))


def missing(installation: Installation, component: str) -> str | None:
    """Which Secret a component's pods can't start without, and how to mend it; ``None`` if none lacks."""
    for reference in references(installation.spec):
        if reference.component != component:
            continue
        keys = installation.observed.secrets.get(reference.secret)
        if keys is None:
            return f"there is no Secret {reference.secret}, which {reference.field} names: make it"
        for key in reference.keys:
            if key not in keys:
                return f"Secret {reference.secret}, which {reference.field} names, has no {key}: add it"
    return None
