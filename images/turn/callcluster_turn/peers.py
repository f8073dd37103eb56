"""Which peers may be relayed to: CIDRs in, coturn's address ranges out.

coturn reads ranges in its own way, and all of these were seen on real servers:

* a range whose lower end is ``::`` has no lower end at all and matches every IPv4 address, too;
* IPv6 ranges are compared byte by byte before 4.16: a box, not a span;
* a CIDR or a misspelt range in the configuration is skipped with a warning, and the server starts open;
* what is allowed wins over what is denied.

So the ranges are computed here: each one differs in one byte and is full after it, which reads the same as
a box and as a span, and none starts at ``::``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from callcluster_common.peer_policy import SPECIAL_PURPOSE, IPAddress, IPNetwork, PeerPolicy

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True)
class Range:
    """Addresses from ``first`` to ``last``, both included, as coturn's configuration has them."""

    first: IPAddress
    last: IPAddress

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


class CoturnPeerPolicy(PeerPolicy):
    """A policy as coturn's ranges."""

    @property
    def permits_loopback(self) -> bool:
        """Whether any loopback address may be a peer, which coturn guards by an option of its own."""
        return any(entry.overlaps(loop) for entry in self._exceptions() for loop in LOOPBACK)

    def allowed_ranges(self) -> tuple[Range, ...]:
        """Ranges that win over the denied ones."""
        return _ranges(self._exceptions())

    def denied_ranges(self) -> tuple[Range, ...]:
        """Ranges that are denied where no allowed range covers them."""
        exceptions = self._exceptions()
        return _ranges(
            entry
            for entry in _collapsed((*SPECIAL_PURPOSE, *self.denied))
            if not any(_is_within(entry, exception) for exception in exceptions)
        )

    def _exceptions(self) -> tuple[IPNetwork, ...]:
        """The allowed CIDRs without what a more specific entry denies, where denying needs an exception."""
        pieces: list[IPNetwork] = []
        for allowed in self.allowed:
            holes = [entry for entry in self.denied if _is_within(entry, allowed)]
            holes += [e for e in SPECIAL_PURPOSE if _is_within(e, allowed) and e != allowed]
            pieces += _without(allowed, holes)
        denies = (*SPECIAL_PURPOSE, *self.denied)
        return tuple(p for p in _collapsed(pieces) if any(p.overlaps(d) for d in denies))


def _is_within(inner: IPNetwork, outer: IPNetwork) -> bool:
    return (
        inner.version == outer.version
        and inner.prefixlen >= outer.prefixlen
        and inner.network_address in outer
    )


def _without(network: IPNetwork, holes: Iterable[IPNetwork]) -> list[IPNetwork]:
    """``network`` less ``holes``, which all lie within it."""
    pieces = [network]
    for hole in holes:
        kept: list[IPNetwork] = []
        for piece in pieces:
            if _is_within(hole, piece):
                kept += piece.address_exclude(hole)  # type: ignore[arg-type]  # same version by _is_within
            elif not _is_within(piece, hole):
                kept.append(piece)
        pieces = kept
    return pieces


def _collapsed(networks: Iterable[IPNetwork]) -> list[IPNetwork]:
    """The same addresses in the fewest networks, IPv4 first."""
    known = list(networks)
    v4 = [network for network in known if isinstance(network, ipaddress.IPv4Network)]
    v6 = [network for network in known if isinstance(network, ipaddress.IPv6Network)]
    return [*ipaddress.collapse_addresses(v4), *ipaddress.collapse_addresses(v6)]


def _ranges(networks: Iterable[IPNetwork]) -> tuple[Range, ...]:
    return tuple(part for network in networks for part in to_ranges(network))


def to_ranges(network: IPNetwork) -> tuple[Range, ...]:
    """The ranges that mean exactly ``network`` to coturn, less the unspecified address ``::``.

    coturn refuses ``::`` as a peer by itself.
    """
    if network.version == 4:
        if network.prefixlen:
            return (Range(network.network_address, network.broadcast_address),)
        return _ranges(network.subnets())
    if not network.network_address.is_unspecified:
        return (Range(network.network_address, network.broadcast_address),)
    # Starts at "::": one range for each byte that may be the first to differ from zero.
    last = network.broadcast_address.packed
    return tuple(
        Range(
            ipaddress.IPv6Address(bytes(index) + b"\1" + bytes(15 - index)),
            ipaddress.IPv6Address(bytes(index) + last[index:]),
        )
        for index in range(16)
        if last[index]
    )


def probes(policy: CoturnPeerPolicy, version: int, own: IPAddress) -> tuple[IPAddress, ...]:
    """Addresses of one IP version that a server must deny: the edges of all denied ranges.

    ``own`` is left out: coturn permits its own relay address whatever the configuration says.
    """
    edges = {edge for part in policy.denied_ranges() for edge in (part.first, part.last)}
    denied = (e for e in edges if e.version == version and e != own and not policy.permits(e))
    return tuple(sorted(denied, key=int))
