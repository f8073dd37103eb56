"""coturn's configuration file, as text, for the version that was found. Pure: no files, no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from callcluster_common.peer_policy import IPAddress

from callcluster_turn.settings import Settings

MAX_ALLOCATE_LIFETIME_SECONDS = 600
"""How long the allocation of a client that vanished holds its port, and a drain."""
STALE_NONCE_SECONDS = 600
CLI_MAX_SESSIONS = 100_000
"""Above any slice: coturn's own limit of 256 would hide sessions from a revocation."""


class UnsupportedVersionError(ValueError):
    """This coturn is not one of those that the configuration was verified with."""


class Profile(Enum):
    """Families of coturn versions that read the same configuration."""

    CLASSIC = "4.6"
    """As Debian 12 and 13 ship it. Dies of SIGUSR1."""
    MODERN = "4.17"
    """4.17 and later: safer defaults, command line interface off, drains on SIGUSR1."""

    @property
    def drains_on_signal(self) -> bool:
        """Whether SIGUSR1 makes it refuse new allocations (403) and end after the last one."""
        return self is Profile.MODERN


def profile_of(version: str) -> Profile:
    """The profile for what ``turnserver --version`` printed.

    Raises:
        UnsupportedVersionError: there is none.
    """
    match = re.search(r"(\d+)\.(\d+)", version)
    number = (int(match[1]), int(match[2])) if match else (0, 0)
    if number == (4, 6):
        return Profile.CLASSIC
    if number >= (4, 17):
        return Profile.MODERN
    raise UnsupportedVersionError(
        f"coturn {version.strip() or 'of unknown version'} is not supported: "
        "use 4.6 (as in Debian), or 4.17 and later"
    )


@dataclass(frozen=True)
class Runtime:
    """What the configuration needs and the environment does not say."""

    profile: Profile
    database: Path
    external_ip: IPAddress | None
    cli_port: int
    cli_password: str
    relay_threads: int
    certificate: tuple[Path, Path] | None
    """Certificate chain and key, with a TLS listener."""


def render(settings: Settings, runtime: Runtime) -> str:
    """The whole file."""
    return "\n".join(
        [
            *_addresses(settings, runtime),
            *_authentication(settings, runtime),
            *_hardening(runtime),
            *_command_line(runtime),
            *_limits(settings, runtime),
            *_peers(settings),
            *_logging(runtime),
            "",
        ]
    )


def _addresses(settings: Settings, runtime: Runtime) -> list[str]:
    lines = [
        f"listening-ip={settings.listening_ip}",
        f"relay-ip={settings.relay_ip}",
        f"listening-port={settings.listening_port}",
        f"min-port={settings.min_port}",
        f"max-port={settings.max_port}",
    ]
    if runtime.external_ip is not None and runtime.external_ip != settings.relay_ip:
        lines.append(f"external-ip={runtime.external_ip}/{settings.relay_ip}")
    if settings.tls and runtime.certificate:
        certificate, key = runtime.certificate
        lines += [f"tls-listening-port={settings.tls.port}", f"cert={certificate}", f"pkey={key}"]
    else:
        lines.append("no-tls")
    return lines


def _authentication(settings: Settings, runtime: Runtime) -> list[str]:
    return [
        f"realm={settings.realm}",
        # Keys stand in the database only: static ones could not be rotated without a restart.
        "use-auth-secret",
        f"userdb={runtime.database}",
        f"stale-nonce={STALE_NONCE_SECONDS}",
    ]


def _hardening(runtime: Runtime) -> list[str]:
    lines = [
        "fingerprint",
        "no-tcp-relay",
        "no-multicast-peers",
    ]
    if runtime.profile is Profile.CLASSIC:
        # Later versions behave so unasked, and warn about the options.
        lines += [
            "no-rfc5780",
            "no-software-attribute",
            "no-tlsv1",
            "no-tlsv1_1",
            "no-dtls",
            "no-stun-backward-compatibility",
        ]
    return lines


def _command_line(runtime: Runtime) -> list[str]:
    lines = ["cli"] if runtime.profile is Profile.MODERN else []
    return [
        *lines,
        # The node's loopback is shared under host networking: the port and the password are random.
        "cli-ip=127.0.0.1",
        f"cli-port={runtime.cli_port}",
        f"cli-password={runtime.cli_password}",
        f"cli-max-output-sessions={CLI_MAX_SESSIONS}",
    ]


def _limits(settings: Settings, runtime: Runtime) -> list[str]:
    lines = [
        f"relay-threads={runtime.relay_threads}",
        f"max-allocate-lifetime={MAX_ALLOCATE_LIFETIME_SECONDS}",
        f"user-quota={settings.user_quota}",
        f"total-quota={settings.total_quota}",
    ]
    if settings.max_bps:
        lines.append(f"max-bps={settings.max_bps}")
    return lines


def _peers(settings: Settings) -> list[str]:
    lines = ["allow-loopback-peers"] if settings.peers.permits_loopback else []
    lines += [f"allowed-peer-ip={item}" for item in settings.peers.allowed_ranges()]
    lines += [f"denied-peer-ip={item}" for item in settings.peers.denied_ranges()]
    return lines


def _logging(runtime: Runtime) -> list[str]:
    # "verbose" tells of sessions and error codes; the agent counts those lines and lets none through.
    lines = ["log-file=stdout", "verbose"]
    if runtime.profile is Profile.CLASSIC:
        lines.append("simple-log")
    return lines
