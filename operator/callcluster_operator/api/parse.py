"""Reads specs, and says what is wrong with those that can't be used.

The rules between fields are those of the schemas in ``crds/``. They are checked again because an object may
have passed an older schema, and because the local runtime has none.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from callcluster_common.peer_policy import IPNetwork

from callcluster_operator.api.v1alpha1 import (
    TURN,
    Addressing,
    CallClusterSpec,
    PortRange,
    RoomSpec,
    Spec,
)
from callcluster_operator.objects import Object


@dataclass(frozen=True)
class Problem:
    """What is wrong with an object, and how to mend it."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


Problems = tuple[Problem, ...]

_SpecType = TypeVar("_SpecType", bound=Spec)
_CC_NAME = re.compile(r"[a-z]([-a-z0-9]{0,43}[a-z0-9])?")


def parse_callcluster(obj: Object) -> CallClusterSpec | Problems:
    """The spec of a CallCluster, or what is wrong with it."""
    spec = _convert(obj, CallClusterSpec)
    if isinstance(spec, tuple):
        return spec
    return tuple(_callcluster_problems(obj["metadata"]["name"], spec)) or spec


def parse_room(obj: Object) -> RoomSpec | Problems:
    """The spec of a Room, or what is wrong with it."""
    spec = _convert(obj, RoomSpec)
    if isinstance(spec, tuple):
        return spec
    if len(obj["metadata"]["name"]) > 128:
        return (Problem("metadata.name", "must be at most 128 characters: it is the id of the room"),)
    return spec


def _convert(obj: Object, kind: type[_SpecType]) -> _SpecType | Problems:
    try:
        return msgspec.convert(obj.get("spec"), kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        return (Problem("spec" + path.rstrip("`"), message[:1].lower() + message[1:]),)


def _callcluster_problems(name: str, spec: CallClusterSpec) -> Iterator[Problem]:
    if not _CC_NAME.fullmatch(name):
        yield Problem(
            "metadata.name",
            "must be at most 45 lower case letters, digits and '-', and start with a letter: "
            "Services are named after it",
        )
    scaling = spec.signaling.autoscaling
    if scaling is not None:
        if spec.signaling.replicas is not None:
            yield Problem(
                "spec.signaling", "set either replicas or autoscaling, not both: remove one of them"
            )
        if scaling.min_replicas > scaling.max_replicas:
            yield Problem("spec.signaling.autoscaling", "minReplicas must not be greater than maxReplicas")
    if spec.redis.mode == "External" and spec.redis.url_secret_ref is None:
        yield Problem("spec.redis", "mode External needs urlSecretRef: name the Secret that holds the URL")
    if spec.redis.mode == "Managed" and spec.redis.url_secret_ref is not None:
        yield Problem("spec.redis", "urlSecretRef is for mode External: remove it or set mode to External")
    yield from _turn_problems(spec.turn)
    yield from _sfu_problems(spec)
    yield from _addressing_problems(spec.addressing)


def _turn_problems(turn: TURN) -> Iterator[Problem]:
    relay, at = turn.relay_port_range, "spec.turn.relayPortRange"
    ports = relay.max - relay.min + 1
    if relay.min >= relay.max:
        yield Problem(at, "min must be smaller than max")
    elif ports % turn.ports_per_replica:
        yield Problem(
            at,
            "the range must hold whole blocks, so make max - min + 1 a multiple of turn.portsPerReplica",
        )
    elif turn.slots > 100:
        yield Problem(
            at,
            "the range holds more than 100 blocks: raise turn.portsPerReplica or make the range smaller",
        )
    yield from _reserved_problems(relay, at)
    if 5149 < turn.listening_port < 5449:
        yield Problem(
            "spec.turn.listeningPort",
            "must be at most 5149 or at least 5449: up to 100 servers take every second port from here, "
            "and TLS has 5349 and up",
        )
    if 0 < turn.quota.bits_per_second_per_allocation < 64_000:
        yield Problem(
            "spec.turn.quota.bitsPerSecondPerAllocation",
            "must be 0 (no limit) or at least 64000, which is what one voice needs",
        )
    policy = turn.peer_policy
    for name, networks in (
        ("allowedCIDRs", policy.allowed_cidrs),
        ("deniedCIDRs", policy.denied_cidrs),
    ):
        for network in networks:
            if not _is_network(network):
                yield Problem(
                    f"spec.turn.peerPolicy.{name}",
                    "must be a network such as 203.0.113.0/24 or 2001:db8::/32",
                )
    rotation, ttl, at = turn.credentials.rotation, turn.credentials.ttl_seconds, "spec.turn.credentials"
    if rotation.overlap_seconds < ttl + 2 * rotation.skew_seconds:
        yield Problem(
            at,
            "rotation.overlapSeconds must be at least ttlSeconds + 2 * rotation.skewSeconds, else "
            "credentials in use would be refused: raise it or lower ttlSeconds",
        )
    if rotation.interval_seconds <= rotation.overlap_seconds:
        yield Problem(
            at,
            "rotation.intervalSeconds must be greater than rotation.overlapSeconds: "
            "raise it or lower the overlap",
        )
    if rotation.interval_seconds < 2 * ttl:
        yield Problem(
            at, "rotation.intervalSeconds must be at least 2 * ttlSeconds: raise it or lower ttlSeconds"
        )


def _sfu_problems(spec: CallClusterSpec) -> Iterator[Problem]:
    media, relay, at = spec.sfu.port_range, spec.turn.relay_port_range, "spec.sfu.portRange"
    if media.min > media.max:
        yield Problem(at, "min must not be greater than max")
    yield from _reserved_problems(media, at)
    # The listeners and control ports of all servers lie below the least port of either range.
    if spec.sfu.replicas and media.min <= relay.max and relay.min <= media.max:
        yield Problem(at, "the range must not meet turn.relayPortRange: move one of the two")


def _reserved_problems(ports: PortRange, at: str) -> Iterator[Problem]:
    if ports.max >= 30_000 and ports.min <= 60_999:
        yield Problem(
            at,
            "the range must stay clear of 30000-32767 (NodePorts) and 32768-60999 (outgoing connections): "
            "use ports below 30000 or above 60999",
        )


def _addressing_problems(addressing: Addressing) -> Iterator[Problem]:
    if len(set(addressing.sources)) != len(addressing.sources):
        yield Problem("spec.addressing.sources", "a source is listed twice")
    if addressing.addresses and "Static" not in addressing.sources:
        yield Problem(
            "spec.addressing",
            "addresses are only used by the source Static, so add Static to sources or remove them",
        )
    if "Static" in addressing.sources and not addressing.addresses:
        yield Problem("spec.addressing", "the source Static needs addresses: list the address of each node")
    for static in addressing.addresses:
        if not is_address(static.address):
            yield Problem("spec.addressing.addresses", "address must be an IP address such as 203.0.113.7")


def is_address(text: str) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def networks(given: Iterable[str]) -> tuple[IPNetwork, ...]:
    """Networks of a spec that can be used; 10.1.2.3/8 is one in the API."""
    return tuple(ipaddress.ip_network(network, strict=False) for network in given)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text
