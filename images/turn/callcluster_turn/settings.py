"""The agent's settings: read from the environment once, checked as a whole."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from callcluster_common import control
from callcluster_common.environment import Environment, SettingError
from callcluster_common.logs import LEVELS
from callcluster_common.peer_policy import IPAddress, IPNetwork

from callcluster_turn.peers import CoturnPeerPolicy

MAX_PORT = 65535
DEFAULT_USER_QUOTA = 12
"""Relay ports of one user: a browser takes 4 to 6 while it gathers, and a reconnect overlaps with that."""


@dataclass(frozen=True)
class TLS:
    """The TLS listener."""

    port: int
    cert_file: Path
    key_file: Path


@dataclass(frozen=True)
class Settings:
    """Everything that the environment tells the agent."""

    pod_name: str
    log_level: str
    turnserver: str
    state_dir: Path
    listening_ip: IPAddress
    relay_ip: IPAddress
    external_address_file: Path | None
    listening_port: int
    tls: TLS | None
    min_port: int
    max_port: int
    realm: str
    user_quota: int
    total_quota: int
    max_bps: int
    """Bytes per second of one allocation, 0 for no limit."""
    peers: CoturnPeerPolicy
    keys_file: Path
    control_keys_file: Path | None
    control_host: str
    control_port: int
    drain_timeout_seconds: int

    @property
    def slice_size(self) -> int:
        """Relay ports of this server."""
        return self.max_port - self.min_port + 1


def read(variables: Mapping[str, str]) -> Settings:
    """Read and check the settings.

    Raises:
        SettingError: one is missing or unusable; the message names it and says how to mend it.
    """
    env = Environment(variables)
    listening_ip = _own_address(env, "LISTENING_IP", None)
    relay_ip = _own_address(env, "RELAY_IP", str(listening_ip))
    listening_port = env.integer("LISTENING_PORT", 3478, low=1, high=MAX_PORT)
    min_port = env.integer("MIN_PORT", low=1024, high=MAX_PORT)
    max_port = env.integer("MAX_PORT", low=1024, high=MAX_PORT)
    if max_port < min_port:
        raise SettingError(f"MAX_PORT ({max_port}) must not be below MIN_PORT ({min_port})")
    tls = _tls(env)
    control_port = env.integer("CONTROL_PORT", control.DEFAULT_PORT, high=MAX_PORT)
    _check_apart(listening_port, tls, control_port, min_port, max_port)
    slice_size = max_port - min_port + 1
    log_level = env.text("LOG_LEVEL", "info").lower()
    if log_level not in LEVELS:
        raise SettingError(f"LOG_LEVEL must be one of {', '.join(LEVELS)}, not {log_level!r}")
    realm = env.text("REALM")
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,127}", realm):
        raise SettingError("REALM must be a domain name: letters, digits, dots and hyphens")
    return Settings(
        pod_name=env.text("POD_NAME", ""),
        log_level=log_level,
        turnserver=env.text("TURNSERVER", "turnserver"),
        state_dir=_path(env, "STATE_DIR"),
        listening_ip=listening_ip,
        relay_ip=relay_ip,
        external_address_file=env.path("EXTERNAL_ADDRESS_FILE"),
        listening_port=listening_port,
        tls=tls,
        min_port=min_port,
        max_port=max_port,
        realm=realm,
        user_quota=env.integer("USER_QUOTA", DEFAULT_USER_QUOTA, high=MAX_PORT),
        total_quota=env.integer("TOTAL_QUOTA", slice_size, low=1, high=MAX_PORT),
        max_bps=env.integer("MAX_BPS", 0),
        peers=CoturnPeerPolicy(
            allowed=_networks(env, "ALLOWED_PEER_CIDRS"), denied=_networks(env, "DENIED_PEER_CIDRS")
        ),
        keys_file=_path(env, "KEYS_FILE"),
        control_keys_file=env.path("CONTROL_KEYS_FILE"),
        control_host=env.text("CONTROL_HOST", "0.0.0.0"),
        control_port=control_port,
        drain_timeout_seconds=env.integer("DRAIN_TIMEOUT_SECONDS", 3600),
    )


def external_address(text: str) -> IPAddress | None:
    """Read the content of the external address file: an IP address, or ``none`` where there is no NAT.

    Raises:
        SettingError: neither of the two.
    """
    if text == "none":
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise SettingError("EXTERNAL_ADDRESS_FILE must hold an IP address or 'none'") from None


def _path(env: Environment, name: str) -> Path:
    return Path(env.text(name))


def _own_address(env: Environment, name: str, default: str | None) -> IPAddress:
    value = env.text(name, default)
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise SettingError(f"{name} must be an IP address, not {value!r}") from None
    if address.is_unspecified:
        # With host networking a wildcard would take the port on every address of the node.
        raise SettingError(f"{name} must be one address of this machine, not {value}")
    return address


def _networks(env: Environment, name: str) -> tuple[IPNetwork, ...]:
    networks: list[IPNetwork] = []
    for word in env.words(name):
        try:
            networks.append(ipaddress.ip_network(word))
        except ValueError as error:
            raise SettingError(f"{name} must list CIDRs such as 10.0.0.0/8: {error}") from None
    return tuple(networks)


def _tls(env: Environment) -> TLS | None:
    port = env.integer("TLS_LISTENING_PORT", 0, high=MAX_PORT)
    if port == 0:
        return None
    return TLS(port, _path(env, "TLS_CERT_FILE"), _path(env, "TLS_KEY_FILE"))


def _check_apart(listening: int, tls: TLS | None, control_port: int, low: int, high: int) -> None:
    """Refuse ports that meet: coturn and the kernel would let some of these pass and lose packets later."""
    ports = {"LISTENING_PORT": listening, "CONTROL_PORT": control_port}
    if tls:
        ports["TLS_LISTENING_PORT"] = tls.port
    taken: dict[int, str] = {}
    for name, port in ports.items():
        if low <= port <= high:
            raise SettingError(f"{name} ({port}) must lie outside of MIN_PORT to MAX_PORT ({low}-{high})")
        if port in taken:
            raise SettingError(f"{name} and {taken[port]} are both {port}; give each a port of its own")
        taken[port] = name
