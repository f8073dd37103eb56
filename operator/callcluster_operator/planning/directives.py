"""What the signaling pods are told about TURN servers."""

from __future__ import annotations

from callcluster_common import directive
from callcluster_common.directive import DirectiveError

from callcluster_operator.objects import CONFIG_MAP
from callcluster_operator.planning import names
from callcluster_operator.planning.installation import Installation


def turn_uris(domain: str, address: str, listener: int, tls: int) -> tuple[str, ...]:
    """URIs (RFC 7065) of one server, best first.

    Args:
        domain: the CallCluster's. A certificate is for a name, so that TLS goes to ``turn.<domain>``.
        address: where clients reach the server.
        listener: UDP and TCP port.
        tls: TLS port, 0 where it has none.
    """
    host = _host(address)
    plain = (f"turn:{host}:{listener}?transport=udp", f"turn:{host}:{listener}?transport=tcp")
    return (*plain, f"turns:turn.{domain}:{tls}?transport=tcp") if tls else plain


def stun_uri(address: str, listener: int) -> str:
    """STUN URI (RFC 7064) of one server."""
    return f"stun:{_host(address)}:{listener}"


def told(installation: Installation) -> frozenset[str]:
    """The STUN URIs of the servers that signaling knows now."""
    live = installation.child(CONFIG_MAP, names.directive_config_map(installation.name))
    try:
        known = directive.parse(((live or {}).get("data") or {}).get(directive.DIRECTIVE_FILE, ""))
    except DirectiveError:
        return frozenset()
    return frozenset(known.stun_uris)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
