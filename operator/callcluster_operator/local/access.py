"""Who may join a CallCluster's rooms, and under which key."""

from __future__ import annotations

from callcluster_operator.objects import Object
from callcluster_operator.planning import names
from callcluster_operator.planning.manifests.secrets import JWT_KEY


def needs_token(callcluster: Object) -> bool:
    """Whether nobody gets in without a token."""
    return bool(_auth(callcluster).get("guests", "Denied") != "Allowed")


def jwt_secret(callcluster: Object) -> tuple[str, str]:
    """Name and key of the Secret that tokens are signed with."""
    given = _auth(callcluster).get("jwtSecretRef")
    if given:
        return given["name"], given.get("key", JWT_KEY)
    return names.jwt_secret(callcluster["metadata"]["name"]), JWT_KEY


def _auth(callcluster: Object) -> Object:
    auth: Object = callcluster["spec"].get("signaling", {}).get("auth", {})
    return auth
