"""TURN servers and credentials for members."""

from __future__ import annotations

from callcluster_common import turn_credentials
from callcluster_common.directive import Directive
from callcluster_common.keyset import KeySet
from callcluster_common.messages.types import IceServer


def ice_servers(
    directive: Directive | None, keyset: KeySet | None, subject: str, wall: float
) -> tuple[list[IceServer], int]:
    """The servers for one member, and the life of its credentials in seconds (0: no TURN server).

    Args:
        directive: the servers; ``None`` before the first directive.
        keyset: the keys; without them TURN servers are left out.
        subject: stands for the member in the user name, hashed.
        wall: Unix time.
    """
    if directive is None:
        return [], 0
    servers = [IceServer(urls=list(directive.stun_uris))] if directive.stun_uris else []
    if not directive.turn_uris or keyset is None:
        return servers, 0
    ttl = directive.turn_ttl_seconds
    username, password = turn_credentials.mint(keyset.minting, subject, int(wall) + ttl)
    servers.append(IceServer(urls=list(directive.turn_uris), username=username, credential=password))
    return servers, ttl
