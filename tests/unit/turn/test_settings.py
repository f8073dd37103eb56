"""What the environment may say, and what it is told where it errs."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from callcluster_common.environment import SettingError
from callcluster_turn import settings

MINIMAL = {
    "LISTENING_IP": "10.0.0.5",
    "MIN_PORT": "20000",
    "MAX_PORT": "20999",
    "REALM": "calls.example",
    "STATE_DIR": "/run/turn",
    "KEYS_FILE": "/etc/turn/keys.json",
}


def test_the_required_settings_are_enough() -> None:
    chosen = settings.read(MINIMAL)

    assert chosen.relay_ip == chosen.listening_ip == ipaddress.ip_address("10.0.0.5")
    assert chosen.listening_port == 3478
    assert chosen.tls is None
    assert chosen.slice_size == chosen.total_quota == 1000
    assert chosen.control_port == 9090
    assert chosen.max_bps == 0


@pytest.mark.parametrize("name", sorted(MINIMAL))
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(SettingError, match=f"^{name} is required$"):
        settings.read({**MINIMAL, name: ""})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LISTENING_IP", "0.0.0.0", "LISTENING_IP must be one address of this machine"),
        ("LISTENING_IP", "node-1", "LISTENING_IP must be an IP address"),
        ("RELAY_IP", "::", "RELAY_IP must be one address of this machine"),
        ("MIN_PORT", "80", "MIN_PORT must be a whole number from 1024 to 65535"),
        ("MAX_PORT", "19999", r"MAX_PORT \(19999\) must not be below MIN_PORT \(20000\)"),
        ("LISTENING_PORT", "20500", r"LISTENING_PORT \(20500\) must lie outside of MIN_PORT to MAX_PORT"),
        ("CONTROL_PORT", "20000", r"CONTROL_PORT \(20000\) must lie outside"),
        ("CONTROL_PORT", "3478", "are both 3478"),
        ("REALM", "two words", "REALM must be a domain name"),
        ("REALM", "a\nstatic-auth-secret=x", "REALM must be a domain name"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of debug, info, warning, error"),
        ("ALLOWED_PEER_CIDRS", "10.0.0.1/8", "ALLOWED_PEER_CIDRS must list CIDRs"),
        ("DENIED_PEER_CIDRS", "10.0.0.0-10.0.0.9", "DENIED_PEER_CIDRS must list CIDRs"),
        ("TLS_LISTENING_PORT", "5349", "TLS_CERT_FILE is required"),
        ("MAX_BPS", "fast", "MAX_BPS must be a whole number"),
        ("TOTAL_QUOTA", "0", "TOTAL_QUOTA must be a whole number from 1"),
    ],
)
def test_an_unusable_setting_is_explained(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        settings.read({**MINIMAL, name: value})


def test_tls_needs_both_files() -> None:
    with_cert = {**MINIMAL, "TLS_LISTENING_PORT": "5349", "TLS_CERT_FILE": "/tls/tls.crt"}
    with pytest.raises(SettingError, match="TLS_KEY_FILE is required"):
        settings.read(with_cert)

    chosen = settings.read({**with_cert, "TLS_KEY_FILE": "/tls/tls.key"})

    assert chosen.tls == settings.TLS(5349, Path("/tls/tls.crt"), Path("/tls/tls.key"))


def test_the_external_address_is_an_address_or_none() -> None:
    assert settings.external_address("203.0.113.9") == ipaddress.ip_address("203.0.113.9")
    assert settings.external_address("none") is None
    with pytest.raises(SettingError, match="must hold an IP address or 'none'"):
        settings.external_address("node-1")
