"""To which addresses a TURN server relays."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

SPECIAL_PURPOSE: tuple[IPNetwork, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT, some clusters' pods
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, cloud metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
            "::/96",  # unspecified, loopback, IPv4-compatible
            "::ffff:0:0/96",  # IPv4-mapped: the way round every IPv4 rule (CVE-2026-27624)
            "::ffff:0:0:0/96",  # IPv4-translated
            "64:ff9b::/96",  # NAT64
            "64:ff9b:1::/48",  # local NAT64
            "100::/64",  # discard
            "2001::/23",  # protocol assignments, Teredo
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: IPv4 inside
            "fc00::/7",  # unique local
            "fe80::/9",  # link-local, site-local
            "ff00::/8",  # multicast
        ),
    )
)
"""Denied unless allowed: nobody on the Internet is reached at these."""

NEVER = tuple(map(ipaddress.ip_network, ("0.0.0.0/8", "224.0.0.0/3", "::/128", "ff00::/8")))
"""What coturn refuses whatever it is told."""


@dataclass(frozen=True)
class PeerPolicy:
    """The most specific entry that covers an address decides about it.

    Of equally specific ones a denied CIDR wins over an allowed one, and both win over the built-in list of
    special-purpose addresses. What no entry covers is allowed.
    """

    allowed: tuple[IPNetwork, ...] = ()
    denied: tuple[IPNetwork, ...] = ()

    def permits(self, address: IPAddress) -> bool:
        """Whether ``address`` may be a peer; multicast and unspecified addresses never are."""
        if any(address in network for network in NEVER):
            return False
        covering = [
            (network.prefixlen, rank, verdict)
            for rank, verdict, networks in (
                (0, False, SPECIAL_PURPOSE),
                (1, True, self.allowed),
                (2, False, self.denied),
            )
            for network in networks
            if address in network
        ]
        return max(covering)[2] if covering else True
