"""What the status of a CallCluster says about its TURN servers and SFUs."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from callcluster_common.peer_policy import PeerPolicy

from callcluster_operator.api import conditions
from callcluster_operator.api.conditions import Condition
from callcluster_operator.api.parse import networks
from callcluster_operator.api.times import timestamp
from callcluster_operator.planning import addresses, names, pods, ports, references, sfu
from callcluster_operator.planning.fleet import Tier, drain_deadline
from callcluster_operator.planning.installation import Installation
from callcluster_operator.planning.servers import Server, annotations_of
from callcluster_operator.planning.sfu import SFUServer
from callcluster_operator.planning.turn import TURNServer


def turn(installation: Installation, tier: Tier[TURNServer]) -> dict[str, Any]:
    """The TURN servers, as the status shows them."""
    return {
        "replicas": installation.spec.turn.replicas,
        "readyReplicas": len(tier.taking),
        "allocations": sum(server.report.allocations for server in tier.servers if server.report),
        "servers": [_turn_server(installation, server) for server in tier.servers],
    }


def sfus(installation: Installation, decision: sfu.Decision) -> dict[str, Any]:
    """The SFUs, as the status shows them."""
    reports = [server.report for server in decision.servers if server.report]
    return {
        "replicas": installation.spec.sfu.replicas,
        "readyReplicas": len(decision.shared.taking),
        "rooms": sum(report.rooms for report in reports),
        "participants": sum(report.participants for report in reports),
        "servers": [_sfu_server(installation, server) for server in decision.servers],
    }


def own_sfu(installation: Installation, tier: Tier[SFUServer]) -> dict[str, Any]:
    """The SFU that a room has for itself, as the room's status shows it; empty where there is none.

    Where one replaces another, the one that takes the room.
    """
    leading = sorted(tier.servers, key=lambda server: (not server.takes_sessions, server.is_leaving))
    if not leading:
        return {}
    told = _server(leading[0], installation.spec.sfu.drain.timeout_seconds) | _port(leading[0])
    told["pod"] = told["name"]
    return {key: told[key] for key in ("pod", "state", "nodeName", "address", "port") if key in told}


def turn_available(installation: Installation, tier: Tier[TURNServer], *, is_announced: bool) -> Condition:
    """Whether members get a relay.

    Args:
        installation: the CallCluster.
        tier: its TURN servers.
        is_announced: whether all signaling pods know of them.
    """

    def said(status: conditions.Status, reason: str, message: str) -> Condition:
        return Condition(conditions.TURN_AVAILABLE, status, reason, message)

    wanted = installation.spec.turn.replicas
    if tier.taking and not is_announced and not _was_true(installation, conditions.TURN_AVAILABLE):
        return said("False", "NotAnnounced", "signaling has not been told of the servers yet")
    if tier.taking:
        return said("True", "Available", f"{len(tier.taking)} of {wanted} servers take sessions")
    if not wanted:
        return said("False", "NotRequested", "turn.replicas is 0: calls that need a relay fail")
    silent = [server.name for server in tier.servers if server.could_take_sessions and not server.report]
    if silent:
        return said("False", "NotReporting", f"{', '.join(silent)}: no answer on the control port")
    return said("False", *_why_none(installation, tier, names.TURN))


def sfu_capacity(installation: Installation, tier: Tier[SFUServer]) -> Condition:
    """Whether a call of three or more finds an SFU."""

    def said(status: conditions.Status, reason: str, message: str) -> Condition:
        return Condition(conditions.SFU_CAPACITY_AVAILABLE, status, reason, message)

    wanted = installation.spec.sfu.replicas
    if not wanted:
        return said(
            "False", "NotRequested", "sfu.replicas is 0: the members of a call connect to each other"
        )
    taking = tier.taking
    if taking and all(server.is_full(installation.spec.sfu) for server in taking):
        return said(
            "False",
            "Full",
            f"{len(taking)} of {wanted} SFUs take rooms, and have all rooms or participants that they may: "
            "raise sfu.replicas, sfu.roomsPerReplica or sfu.participantsPerReplica",
        )
    if taking:
        return said("True", "Available", f"{len(taking)} of {wanted} SFUs take rooms")
    return said("False", *_why_none(installation, tier, names.SFU))


def media_available(installation: Installation, tier: Tier[SFUServer]) -> Condition:
    """Whether a room's own SFU takes it."""
    if tier.taking:
        text = f"{tier.taking[0].name} takes this room, and no other"
        return Condition(conditions.MEDIA_AVAILABLE, "True", "Available", text)
    return Condition(conditions.MEDIA_AVAILABLE, "False", *_why_none(installation, tier, names.SFU))


def relays_reach_sfus(installation: Installation, servers: Sequence[SFUServer]) -> Condition:
    """Whether the peer policy of the TURN servers lets them send to the SFUs."""

    def said(status: conditions.Status, reason: str, message: str) -> Condition:
        return Condition(conditions.RELAYS_REACH_SFUS, status, reason, message)

    if not installation.spec.turn.replicas:
        return said("Unknown", "NotRequested", "turn.replicas is 0: there are no relays")
    known = [server for server in servers if server.address is not None and not server.is_leaving]
    if not known:
        return said("Unknown", "NoServers", "no SFU with an address runs")
    given = installation.spec.turn.peer_policy
    policy = PeerPolicy(networks(given.allowed_cidrs), networks(given.denied_cidrs))
    addresses = sorted({server.address.address for server in known if server.address is not None})
    denied = [each for each in addresses if not policy.permits(ipaddress.ip_address(each))]
    if not denied:
        return said("True", "PeersAllowed", "TURN servers may send to every SFU")
    return said(
        "False",
        "PeerDenied",
        f"TURN servers may not send to {', '.join(denied)}, where SFUs are: who needs a relay gets into no "
        "call of three and more. Give these nodes a public address (addressing.sources), or name theirs in "
        "turn.peerPolicy.allowedCIDRs, which opens all their UDP ports to relays",
    )


def addresses_resolved(installation: Installation, tier: Tier[TURNServer]) -> Condition:
    """Whether clients can be told where the TURN servers are."""

    def said(status: conditions.Status, reason: str, message: str) -> Condition:
        return Condition(conditions.ADDRESSES_RESOLVED, status, reason, message)

    if not _placed(tier):
        return said("Unknown", "NoServers", "no TURN server runs yet")
    unreachable = _without_address(installation, tier)
    if unreachable is not None:
        return said("False", "NoExternalAddress", unreachable)
    return said("True", "Resolved", "every TURN server has an address")


def turn_exhausted(installation: Installation) -> str:
    """Why there is no slot for another TURN server, and how to mend it."""
    spec = installation.spec.turn
    return (
        f"all {spec.slots} slots of {spec.relay_port_range.min}-{spec.relay_port_range.max} are taken on "
        "the known nodes: widen turn.relayPortRange, lower turn.portsPerReplica, or delete a server's pod "
        "to do without it meanwhile"
    )


def sfu_exhausted(installation: Installation) -> str:
    """Why there is no port for another SFU, and how to mend it."""
    media, control = installation.spec.sfu.port_range, ports.SFU_CONTROL
    return (
        f"no port of {media.min}-{media.max} or of {control[0]}-{control[-1]} is free, or has rested for "
        "long enough: widen sfu.portRange, lower sfu.replicas, or delete an SFU's pod to do without it "
        "meanwhile"
    )


def _why_none(installation: Installation, tier: Tier[Any], component: str) -> tuple[str, str]:
    """Reason and message: why no server of a kind takes sessions."""
    what, exhausted = _KINDS[component]
    if tier.exhausted:
        return "PortsExhausted", exhausted(installation)
    stuck = _unscheduled(tier)
    if stuck is not None:
        return "Unschedulable", stuck
    unreachable = _without_address(installation, tier)
    if unreachable is not None:
        return "NoExternalAddress", unreachable
    lacking = references.missing(installation, component)
    if lacking is not None:
        return "SecretMissing", lacking
    if tier.servers:
        return "PodsNotReady", f"no {what} is ready: look at the pods' events"
    return "NoServers", f"no {what} runs yet"


_KINDS = {names.TURN: ("TURN server", turn_exhausted), names.SFU: ("SFU", sfu_exhausted)}


def _unscheduled(tier: Tier[Any]) -> str | None:
    for server in tier.servers:
        scheduled = pods.condition(server.pod, "PodScheduled")
        if scheduled.get("reason") == "Unschedulable":
            return f"{server.name}: {scheduled.get('message', 'no node fits')}"
    return None


def _placed(tier: Tier[Any]) -> list[Server]:
    return [
        server
        for server in tier.servers
        if not server.is_leaving and addresses.host_address(server.pod) is not None
    ]


def _without_address(installation: Installation, tier: Tier[Any]) -> str | None:
    for server in _placed(tier):
        if server.address is None:
            sources = ", ".join(installation.spec.addressing.sources)
            return (
                f"{server.name} on node {server.pod['spec'].get('nodeName')}: none of {sources} knows an "
                "address; give the node one or add a source to addressing.sources"
            )
    return None


def _was_true(installation: Installation, kind: str) -> bool:
    before = (installation.observed.callcluster.get("status") or {}).get("conditions", ())
    return any(each["type"] == kind and each["status"] == "True" for each in before)


def _turn_server(installation: Installation, server: TURNServer) -> dict[str, Any]:
    told = _server(server, installation.spec.turn.drain.timeout_seconds)
    told["slot"] = server.slot.number if server.slot else _labelled_slot(server)
    if server.slot_ports is not None:
        told["listeningPort"] = server.slot_ports[0]
    if server.claim is not None:
        told["relayPorts"] = f"{server.claim.relay[0]}-{server.claim.relay[1]}"
    if server.report is not None:
        told["allocations"] = server.report.allocations
    return told


def _sfu_server(installation: Installation, server: SFUServer) -> dict[str, Any]:
    told = _server(server, installation.spec.sfu.drain.timeout_seconds) | _port(server)
    if server.room:
        told["room"] = server.room
    if server.report is not None:
        told |= {"rooms": server.report.rooms, "participants": server.report.participants}
    return told


def _port(server: SFUServer) -> dict[str, int]:
    return {} if server.ports is None else {"port": server.ports.media}


def _server(server: Server, drain_seconds: int) -> dict[str, Any]:
    told: dict[str, Any] = {"name": server.name, "state": _state(server)}
    if server.pod["spec"].get("nodeName"):
        told["nodeName"] = server.pod["spec"]["nodeName"]
    if server.address is not None:
        told["address"] = server.address.address
        if server.address.source is not None:
            told["addressSource"] = server.address.source
    if server.drain_started is not None:
        told["drainDeadline"] = timestamp(drain_deadline(server.drain_started, drain_seconds))
    return told


def _labelled_slot(server: TURNServer) -> int:
    label = server.pod["metadata"].get("labels", {}).get(names.SLOT_LABEL, "")
    return int(label) if label.isdecimal() else -1


def _state(server: Server) -> str:
    if pods.is_terminating(server.pod):
        return "Stopping"
    if pods.has_ended(server.pod):
        return "Failed"
    if server.drain_started is not None:
        return "Draining"
    if server.takes_sessions:
        return "Ready"
    started = pods.may_run(server.pod) and names.EXTERNAL_ADDRESS in annotations_of(server.pod)
    return "NotReady" if started else "Starting"
