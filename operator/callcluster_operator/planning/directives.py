"""What the signaling pods are told about TURN servers."""

from __future__ import annotations

from callcluster_common import directive
from callcluster_common.directive import Directive, DirectiveError

from callcluster_operator.objects import CONFIG_MAP
from callcluster_operator.planning import names, pods
from callcluster_operator.planning.installation import Installation

SILENT_SECONDS = 60.0
"""After that a pod that does not answer is not expected to from one second to the next."""


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


def live(installation: Installation) -> Directive | None:
    """What the pods are told now; ``None`` before the first time, or where somebody broke it."""
    found = installation.child(CONFIG_MAP, names.directive_config_map(installation.name))
    try:
        return directive.parse(((found or {}).get("data") or {}).get(directive.DIRECTIVE_FILE, ""))
    except DirectiveError:
        return None


def told(installation: Installation) -> frozenset[str]:
    """The STUN URIs of the servers that signaling knows now."""
    known = live(installation)
    return frozenset(known.stun_uris) if known else frozenset()


def is_followed(installation: Installation, wanted: Directive | None) -> bool:
    """Whether all signaling pods that may run have confirmed that very directive."""
    if wanted is None:
        return False
    running = [pod for pod in installation.signaling_pods() if pods.may_run(pod)]
    reports = [installation.signaling_report(pod) for pod in running]
    wanted_print = directive.fingerprint(wanted)
    return all(report is not None and report.directive == wanted_print for report in reports)


def is_awaited(installation: Installation, wanted: Directive) -> bool:
    """Whether a pod may confirm that directive at any moment, though no event will tell."""
    wanted_print = directive.fingerprint(wanted)
    for pod in filter(pods.may_run, installation.signaling_pods()):
        report = installation.signaling_report(pod)
        if report is None:
            if installation.now - pods.changed_at(pod) < SILENT_SECONDS:
                return True
        elif report.directive != wanted_print:
            return True
    return False


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
