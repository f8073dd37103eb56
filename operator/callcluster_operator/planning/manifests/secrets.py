"""Secrets that the operator makes and keeps."""

from __future__ import annotations

import base64

from callcluster_common import keyset
from callcluster_common.keyset import KeySet

from callcluster_operator.objects import SECRET, Object
from callcluster_operator.planning import names
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.manifests.common import manifest

JWT_KEY = "secret"
SALT_KEY = "salt"
CONTROL_TOKEN_KEY = "token"  # noqa: S105 - the name of a key
REDIS_PASSWORD_KEY = "password"  # noqa: S105 - the name of a key
REDIS_URL_KEY = "url"


def turn_keys_manifest(installation: Installation, keys: KeySet, annotations: dict[str, str]) -> Object:
    """The keys of TURN credentials, with the times of their rotation as annotations."""
    name = names.turn_keys_secret(installation.name)
    return _secret(installation, name, names.TURN, {keyset.KEYS_FILE: _text(keys)}, annotations)


def control_keys_manifest(installation: Installation, keys: KeySet, annotations: dict[str, str]) -> Object:
    """The keys of the control ports, and the one in use by itself: to scrape TURN servers takes a token."""
    name = names.control_secret(installation.name)
    values = {keyset.KEYS_FILE: _text(keys), CONTROL_TOKEN_KEY: keys.minting.secret}
    return _secret(installation, name, names.SIGNALING, values, annotations)


def jwt_manifest(installation: Installation, secret: str) -> Object:
    """Signs members' tokens where the spec names no Secret of yours."""
    name = names.jwt_secret(installation.name)
    return _secret(installation, name, names.SIGNALING, {JWT_KEY: secret})


def salt_manifest(installation: Installation, salt: str) -> Object:
    """Makes opaque names of room ids."""
    name = names.salt_secret(installation.name)
    return _secret(installation, name, names.SIGNALING, {SALT_KEY: salt})


def redis_manifest(installation: Installation, password: str) -> Object:
    """Password of the managed Redis, and the URL that has it."""
    name = names.redis_secret(installation.name)
    host = installation.platform.service_host or (
        f"{names.workload(installation.name, names.REDIS)}.{installation.namespace}.svc"
    )
    url = f"redis://:{password}@{host}:6379/0"
    return _secret(installation, name, names.REDIS, {REDIS_PASSWORD_KEY: password, REDIS_URL_KEY: url})


def _text(keys: KeySet) -> str:
    return keyset.encode(keys).decode()


def _secret(
    installation: Installation,
    name: str,
    component: str,
    values: dict[str, str],
    annotations: dict[str, str] | None = None,
) -> Object:
    # `data` and not `stringData`: the API server turns that into `data`, and we could not compare.
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return manifest(
        installation, SECRET, name, component, annotations=annotations, type="Opaque", data=data
    )
