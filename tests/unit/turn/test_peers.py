"""Which peers are permitted, and how coturn is told."""

from __future__ import annotations

import ipaddress

import pytest
from callcluster_common.peer_policy import SPECIAL_PURPOSE
from callcluster_turn.peers import CoturnPeerPolicy, probes, to_ranges
from kit.turn_peers import PUBLIC, SPECIAL


def networks(*cidrs: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(cidr) for cidr in cidrs)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_permitted(address: str) -> None:
    assert CoturnPeerPolicy().permits(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", SPECIAL)
def test_special_purpose_addresses_are_denied(address: str) -> None:
    assert not CoturnPeerPolicy().permits(ipaddress.ip_address(address))


def test_the_most_specific_entry_decides() -> None:
    policy = CoturnPeerPolicy(
        allowed=networks("10.1.0.0/16", "10.1.2.3/32"), denied=networks("10.1.2.0/24", "8.0.0.0/8")
    )

    verdicts = {
        address: policy.permits(ipaddress.ip_address(address))
        for address in ("10.0.0.1", "10.1.0.1", "10.1.2.4", "10.1.2.3", "8.8.8.8", "9.9.9.9")
    }

    assert verdicts == {
        "10.0.0.1": False,
        "10.1.0.1": True,
        "10.1.2.4": False,
        "10.1.2.3": True,
        "8.8.8.8": False,
        "9.9.9.9": True,
    }


def test_denying_wins_over_allowing_the_same_network() -> None:
    same = networks("10.1.0.0/16")

    assert not CoturnPeerPolicy(allowed=same, denied=same).permits(ipaddress.ip_address("10.1.0.1"))


def test_allowing_everything_still_denies_what_is_special() -> None:
    policy = CoturnPeerPolicy(allowed=networks("0.0.0.0/0", "::/0"))

    assert not policy.permits(ipaddress.ip_address("169.254.169.254"))
    assert not policy.permits_loopback
    assert policy.permits(ipaddress.ip_address("9.9.9.9"))


@pytest.mark.parametrize(
    ("cidr", "expected"),
    [("127.0.0.0/8", True), ("127.0.0.1/32", True), ("::1/128", True), ("10.0.0.0/8", False)],
)
def test_loopback_is_opened_only_where_it_is_allowed(cidr: str, expected: bool) -> None:
    assert CoturnPeerPolicy(allowed=networks(cidr)).permits_loopback is expected


def test_what_is_allowed_in_full_is_not_denied_beside() -> None:
    policy = CoturnPeerPolicy(allowed=networks("127.0.0.0/8"))

    assert "127.0.0.0-127.255.255.255" not in map(str, policy.denied_ranges())
    assert [str(part) for part in policy.allowed_ranges()] == ["127.0.0.0-127.255.255.255"]


def test_allowing_what_is_public_anyway_adds_no_exception() -> None:
    assert CoturnPeerPolicy(allowed=networks("9.9.9.0/24")).allowed_ranges() == ()


def test_denying_everything_leaves_the_exceptions_open() -> None:
    policy = CoturnPeerPolicy(allowed=networks("10.244.3.7/32"), denied=networks("0.0.0.0/0", "::/0"))

    assert policy.permits(ipaddress.ip_address("10.244.3.7"))
    assert not policy.permits(ipaddress.ip_address("9.9.9.9"))
    assert not policy.permits(ipaddress.ip_address("2606:4700::1"))


def test_a_network_at_the_start_of_ipv6_never_begins_at_the_unspecified_address() -> None:
    assert [str(part) for part in to_ranges(ipaddress.ip_network("::/96"))] == [
        "::100:0-::ffff:ffff",
        "::1:0-::ff:ffff",
        "::100-::ffff",
        "::1-::ff",
    ]


def test_the_whole_of_ipv4_is_two_ranges() -> None:
    assert [str(part) for part in to_ranges(ipaddress.ip_network("0.0.0.0/0"))] == [
        "0.0.0.0-127.255.255.255",
        "128.0.0.0-255.255.255.255",
    ]


def test_probes_are_the_edges_of_what_is_denied_but_for_the_servers_own_address() -> None:
    own = ipaddress.ip_address("192.168.255.255")
    asked = probes(CoturnPeerPolicy(allowed=networks("10.0.0.0/16")), 4, own)

    assert own not in asked
    assert ipaddress.ip_address("10.0.0.0") not in asked
    assert ipaddress.ip_address("10.255.255.255") in asked
    assert ipaddress.ip_address("192.168.0.0") in asked
    assert {address.version for address in asked} == {4}


def test_the_built_in_list_names_each_network_once() -> None:
    assert len(set(SPECIAL_PURPOSE)) == len(SPECIAL_PURPOSE)
