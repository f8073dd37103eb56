"""The configuration file that coturn gets."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from callcluster_turn import config, settings
from callcluster_turn.config import Profile, Runtime, UnsupportedVersionError

VARIABLES = {
    "LISTENING_IP": "10.0.0.5",
    "MIN_PORT": "20000",
    "MAX_PORT": "20999",
    "REALM": "calls.example",
    "STATE_DIR": "/run/turn",
    "KEYS_FILE": "/etc/turn/keys.json",
    "MAX_BPS": "125000",
    "TOTAL_QUOTA": "900",
}
TLS = {"TLS_LISTENING_PORT": "5349", "TLS_CERT_FILE": "/tls/tls.crt", "TLS_KEY_FILE": "/tls/tls.key"}


def runtime(profile: Profile = Profile.CLASSIC, external: str | None = None, tls: bool = False) -> Runtime:
    return Runtime(
        profile=profile,
        database=Path("/run/turn/turndb"),
        external_ip=ipaddress.ip_address(external) if external else None,
        cli_port=40001,
        cli_password="cli-password-of-this-run",
        relay_threads=2,
        certificate=(Path("/run/turn/tls.crt"), Path("/run/turn/tls.key")) if tls else None,
    )


def lines(run: Runtime | None = None, **variables: str) -> list[str]:
    return config.render(settings.read({**VARIABLES, **variables}), run or runtime()).splitlines()


def without_peers(rendered: list[str]) -> list[str]:
    return [line for line in rendered if "-peer-ip=" not in line]


def test_the_whole_file_for_debians_coturn() -> None:
    assert without_peers(lines()) == [
        "listening-ip=10.0.0.5",
        "relay-ip=10.0.0.5",
        "listening-port=3478",
        "min-port=20000",
        "max-port=20999",
        "no-tls",
        "realm=calls.example",
        "use-auth-secret",
        "userdb=/run/turn/turndb",
        "stale-nonce=600",
        "fingerprint",
        "no-tcp-relay",
        "no-multicast-peers",
        "no-rfc5780",
        "no-software-attribute",
        "no-tlsv1",
        "no-tlsv1_1",
        "no-dtls",
        "no-stun-backward-compatibility",
        "cli-ip=127.0.0.1",
        "cli-port=40001",
        "cli-password=cli-password-of-this-run",
        "cli-max-output-sessions=100000",
        "relay-threads=2",
        "max-allocate-lifetime=600",
        "user-quota=12",
        "total-quota=900",
        "max-bps=125000",
        "log-file=stdout",
        "verbose",
        "simple-log",
    ]


def test_later_versions_are_spared_options_that_they_warn_about() -> None:
    rendered = lines(runtime(Profile.MODERN))

    assert "cli" in rendered
    for gone in ("no-tlsv1", "no-tlsv1_1", "no-dtls", "no-rfc5780", "simple-log"):
        assert gone not in rendered


@pytest.mark.parametrize("profile", Profile)
def test_what_coturn_had_holes_in_is_never_switched_on(profile: Profile) -> None:
    rendered = "\n".join(lines(runtime(profile, "203.0.113.9", tls=True), **TLS))

    for option in (
        "oauth",
        "redis",
        "web-admin",
        "mobility",
        "static-auth-secret",
        "lt-cred-mech",
        "0.0.0.0\n",
    ):
        assert option not in rendered


def test_a_public_address_is_mapped_and_an_equal_one_left_out() -> None:
    assert "external-ip=203.0.113.9/10.0.0.5" in lines(runtime(external="203.0.113.9"))
    assert not [line for line in lines(runtime(external="10.0.0.5")) if line.startswith("external-ip")]


def test_tls_uses_the_agents_own_copy_of_the_pair() -> None:
    rendered = lines(runtime(tls=True), **TLS)

    assert {"tls-listening-port=5349", "cert=/run/turn/tls.crt", "pkey=/run/turn/tls.key"} <= set(rendered)
    assert "no-tls" not in rendered


def test_loopback_stays_closed_unless_it_is_allowed() -> None:
    closed = lines()
    assert "denied-peer-ip=127.0.0.0-127.255.255.255" in closed
    assert "allow-loopback-peers" not in closed

    opened = lines(LISTENING_IP="127.0.0.1", ALLOWED_PEER_CIDRS="127.0.0.0/8")
    assert "allow-loopback-peers" in opened
    assert "allowed-peer-ip=127.0.0.0-127.255.255.255" in opened
    assert "denied-peer-ip=127.0.0.0-127.255.255.255" not in opened
    assert "denied-peer-ip=10.0.0.0-10.255.255.255" in opened


def test_peers_are_written_as_ranges_never_as_cidrs() -> None:
    peers = [
        line.partition("=")[2]
        for line in lines(ALLOWED_PEER_CIDRS="10.1.0.0/16", DENIED_PEER_CIDRS="8.8.0.0/16,2a00::/16")
        if "-peer-ip=" in line
    ]

    for peer in peers:
        first, last = map(ipaddress.ip_address, peer.split("-"))
        assert first <= last  # type: ignore[operator]  # both of one version
    assert {"10.1.0.0-10.1.255.255", "8.8.0.0-8.8.255.255"} <= set(peers)


@pytest.mark.parametrize(
    ("version", "profile"),
    [
        ("4.6.1", Profile.CLASSIC),
        ("4.6.2\n", Profile.CLASSIC),
        ("4.17.0", Profile.MODERN),
        ("4.17.1", Profile.MODERN),
        ("5.0", Profile.MODERN),
    ],
)
def test_the_profile_follows_the_version(version: str, profile: Profile) -> None:
    assert config.profile_of(version) is profile


@pytest.mark.parametrize("version", ["4.5.2", "4.10.0", "4.16.3", "", "turnserver"])
def test_a_version_that_was_not_verified_is_refused(version: str) -> None:
    with pytest.raises(UnsupportedVersionError, match=r"use 4\.6 .*, or 4\.17"):
        config.profile_of(version)


def test_only_later_versions_drain_on_a_signal() -> None:
    assert not Profile.CLASSIC.drains_on_signal  # SIGUSR1 kills it
    assert Profile.MODERN.drains_on_signal
