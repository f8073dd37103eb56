"""The ranges mean to coturn what the policy means, in both ways in which coturn compares addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

from callcluster_turn.peers import CoturnPeerPolicy, Range, to_ranges
from hypothesis import given, settings
from hypothesis import strategies as st

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
LessEqual = Callable[[IPAddress, IPAddress], bool]


def as_span(low: IPAddress, high: IPAddress) -> bool:
    """How coturn 4.16 and later compare, and all versions do for IPv4."""
    return low.packed <= high.packed if low.version == high.version else low.version < high.version


def as_box(low: IPAddress, high: IPAddress) -> bool:
    """How earlier versions compare IPv6 addresses: byte by byte."""
    if low.version != high.version or low.version == 4:
        return as_span(low, high)
    return all(a <= b for a, b in zip(low.packed, high.packed, strict=True))


def contains(part: Range, address: IPAddress, less_equal: LessEqual) -> bool:
    """coturn's ``ioa_addr_in_range``: an unspecified end is no end."""
    if not part.first.is_unspecified and not less_equal(part.first, address):
        return False
    return part.last.is_unspecified or less_equal(address, part.last)


def permits(policy: CoturnPeerPolicy, address: IPAddress, less_equal: LessEqual) -> bool:
    """coturn's ``good_peer_addr``."""
    if address.is_unspecified or address.packed[0] > (223 if address.version == 4 else 254):
        return False
    if address.version == 4 and address.packed[0] == 0:
        return False
    if address.is_loopback and not policy.permits_loopback:
        return False

    def covers(parts: Iterable[Range]) -> bool:
        return any(contains(part, address, less_equal) for part in parts)

    return covers(policy.allowed_ranges()) or not covers(policy.denied_ranges())


def network(address: IPAddress, prefix: int) -> IPNetwork:
    return ipaddress.ip_network((address, prefix % (address.max_prefixlen + 1)), strict=False)


ZEROS = st.integers(0, 2**40).map(ipaddress.IPv6Address)
ADDRESSES = st.ip_addresses() | ZEROS
NETWORKS = st.builds(network, ADDRESSES, st.integers(0, 128))
POLICIES = st.builds(
    CoturnPeerPolicy,
    st.lists(NETWORKS, max_size=4, unique=True).map(tuple),
    st.lists(NETWORKS, max_size=4, unique=True).map(tuple),
)


@st.composite
def policies_with_addresses(draw: st.DrawFn) -> tuple[CoturnPeerPolicy, IPAddress]:
    """A policy, and an address that is likely to lie at an edge of one of its ranges."""
    policy = draw(POLICIES)
    edges = [
        edge
        for part in (*policy.denied_ranges(), *policy.allowed_ranges())
        for edge in (part.first, part.last)
    ]
    base = draw(st.sampled_from(edges) | ADDRESSES)
    moved = int(base) + draw(st.integers(-1, 1))
    top = 2**base.max_prefixlen - 1
    return policy, type(base)(min(max(moved, 0), top))


@settings(deadline=None)
@given(policies_with_addresses())
def test_coturn_decides_as_the_policy_does(case: tuple[CoturnPeerPolicy, IPAddress]) -> None:
    policy, address = case
    expected = policy.permits(address)

    assert permits(policy, address, as_span) is expected
    assert permits(policy, address, as_box) is expected


@settings(deadline=None)
@given(POLICIES)
def test_no_range_starts_at_the_unspecified_ipv6_address_or_is_a_whole_space(
    policy: CoturnPeerPolicy,
) -> None:
    for part in (*policy.denied_ranges(), *policy.allowed_ranges()):
        assert str(part.first) != "::"
        assert part.first <= part.last  # type: ignore[operator]  # ends are of one version
        whole = part.first.is_unspecified and int(part.last) == 2**part.last.max_prefixlen - 1
        assert not whole


@settings(deadline=None)
@given(NETWORKS, ADDRESSES)
def test_the_ranges_of_a_network_hold_its_addresses_and_no_others(
    net: IPNetwork, address: IPAddress
) -> None:
    if str(address) == "::":
        return
    inside = address.version == net.version and address in net
    for less_equal in (as_span, as_box):
        assert any(contains(part, address, less_equal) for part in to_ranges(net)) is inside


@settings(deadline=None)
@given(POLICIES)
def test_a_policy_without_allowed_loopback_keeps_it_closed(policy: CoturnPeerPolicy) -> None:
    loopbacks = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]

    if any(policy.permits(address) for address in loopbacks):
        assert policy.permits_loopback
