"""``callcluster token``: a member's token, for tests and for trying things out."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path

import click
import jwt

from callcluster_operator.cli.settings import Settings
from callcluster_operator.local.access import jwt_secret
from callcluster_operator.local.control_socket import Instance, NotRunningError, StateDirectoryError, find

AUDIENCE = "callcluster"
MIN_SECRET_BYTES = 32
ROOMS = re.compile(r"[A-Za-z0-9._~*-]{1,128}")
"""Ids of rooms, and patterns of them: what signaling takes as the claim `room`."""


class SecretError(Exception):
    """There is no usable key; the message says how to mend it."""


def mint(secret: bytes, *, room: str, user: str, ttl: int, moderator: bool, now: float) -> str:
    """Make a token (HS256) that lets ``user`` into ``room`` for ``ttl`` seconds.

    Raises:
        SecretError: the secret is too short to sign with.
    """
    if len(secret) < MIN_SECRET_BYTES:
        raise SecretError(
            f"the JWT secret has {len(secret)} bytes; give it at least {MIN_SECRET_BYTES}, "
            "e.g. from: openssl rand -hex 32"
        )
    issued = int(now)
    claims = {
        "sub": user,
        "room": room,
        "aud": AUDIENCE,
        "iat": issued,
        "exp": issued + ttl,
        "g": {"pub": ["mic", "cam", "screen"], "msg": True, "mod": moderator},
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def secret_of(instance: Instance) -> bytes:
    """The key with which a running instance checks tokens.

    Raises:
        SecretError: it is not there.
    """
    for callcluster in instance.objects("callclusters"):
        name, key = jwt_secret(callcluster)
        data = (instance.secret(name) or {}).get("data", {})
        if key not in data:
            raise SecretError(f"Secret {name} has no {key} yet; look at: callcluster get")
        return base64.b64decode(data[key])
    raise SecretError("the running instance has no CallCluster yet")


def _room(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not ROOMS.fullmatch(value):
        raise click.BadParameter("use 1 to 128 of A-Z a-z 0-9 . _ ~ -, and * for any")
    return value


def _user(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value:
        raise click.BadParameter("is empty; give the member an id")
    return value


@click.command()
@click.option("--room", required=True, callback=_room, help="Id of the room; * stands for any characters.")
@click.option("--user", required=True, callback=_user, help="Id of the member.")
@click.option("--ttl", type=click.IntRange(1, 86_400), default=3600, show_default=True, help="In seconds.")
@click.option("--mod", is_flag=True, help="Let the member moderate.")
@click.option("--port", type=int, help="Of the running instance, where there are several.")
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sign with this file's content instead of JWT_SECRET or the running instance's secret.",
)
@click.pass_obj
def token(
    settings: Settings,
    room: str,
    user: str,
    ttl: int,
    mod: bool,
    port: int | None,
    secret_file: Path | None,
) -> None:
    """Print a token for one member and one room."""
    try:
        if secret_file is not None:
            secret = secret_file.read_bytes().strip()
        elif settings.jwt_secret is not None:
            secret = settings.jwt_secret.encode()
        else:
            secret = secret_of(find(settings.state_base, port))
        click.echo(mint(secret, room=room, user=user, ttl=ttl, moderator=mod, now=time.time()))
    except (SecretError, NotRunningError, StateDirectoryError) as error:
        raise click.ClickException(str(error)) from None
