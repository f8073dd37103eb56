"""Settings of the signaling process, from its environment."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path

from callcluster_common.control import DEFAULT_PORT
from callcluster_common.environment import Environment, SettingError
from callcluster_common.logs import LEVELS
from redis.asyncio.connection import parse_url

from callcluster_signaling.tokens import MIN_SECRET_BYTES

MIN_BYTES_PER_SECOND = 16_384
"""Below it the burst would not hold the largest frame."""
DEFAULT_WEB_ROOT = Path(__file__).resolve().parent.parent / "web"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    port: int
    listen_host: str
    """IPv4 address to listen on; empty for all addresses."""
    redis_url: str = field(repr=False)
    log_level: str
    cors_origins: tuple[str, ...]
    jwt_secret: str = field(repr=False)
    guest_access: bool
    control_host: str
    control_port: int
    control_keys_file: Path | None
    turn_keys_file: Path | None
    directive_file: Path | None
    room_salt: bytes = field(repr=False)
    pod_name: str
    drain_spread_seconds: int
    resume_window_seconds: int
    messages_per_second: int
    bytes_per_second: int
    allowances_per_subject: int
    """What all sessions of one user may send, in allowances of one session; 0 for any number of them."""
    allowances_per_guest_address: int
    """The same for all guests of one public address."""
    sockets_per_address: int
    """Of one public address; 0 for any number."""
    web_root: Path


def read(environment: Environment) -> Settings:
    """Read the settings.

    Raises:
        SettingError: one is missing or unusable; the message says which and how to mend it.
    """
    secret = environment.text("JWT_SECRET")
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise SettingError(
            f"JWT_SECRET must have at least {MIN_SECRET_BYTES} bytes; try: openssl rand -base64 48"
        )
    level = environment.text("LOG_LEVEL", "info").lower()
    if level not in LEVELS:
        raise SettingError(f"LOG_LEVEL must be one of {', '.join(LEVELS)}, not {level!r}")
    url = environment.text("REDIS_URL", "redis://localhost:6379")
    if not url.startswith(("redis://", "rediss://", "memory://")):
        raise SettingError("REDIS_URL must begin with redis://, rediss:// or memory://")
    if not url.startswith("memory://"):
        try:
            parse_url(url)
        except ValueError:
            raise SettingError(
                "REDIS_URL must look like redis://[user:password@]host[:port][/db]"
            ) from None
    origins = environment.words("CORS_ORIGINS") or ("*",)
    for origin in origins:
        if origin != "*" and ("://" not in origin or origin.count("/") > 2):
            raise SettingError(
                f"CORS_ORIGINS takes origins such as https://calls.example.org, or *, not {origin!r}"
            )
    host = environment.text("LISTEN_HOST", "")
    try:
        ipaddress.IPv4Address(host or "0.0.0.0")
    except ValueError:
        raise SettingError(f"LISTEN_HOST must be an IPv4 address, or empty for all, not {host!r}") from None
    salt = environment.text("ROOM_SALT", secrets.token_hex(16))
    return Settings(
        port=environment.integer("PORT", 3000, high=65_535),
        listen_host=host,
        redis_url=url,
        log_level=level,
        cors_origins=origins,
        jwt_secret=secret,
        guest_access=environment.flag("GUEST_ACCESS", False),
        control_host=environment.text("CONTROL_HOST", "0.0.0.0"),
        control_port=environment.integer("CONTROL_PORT", DEFAULT_PORT, high=65_535),
        control_keys_file=environment.path("CONTROL_KEYS_FILE"),
        turn_keys_file=environment.path("TURN_KEYS_FILE"),
        directive_file=environment.path("DIRECTIVE_FILE"),
        room_salt=salt.encode(),
        pod_name=environment.text("POD_NAME", socket.gethostname()),
        drain_spread_seconds=environment.integer("DRAIN_SPREAD_SECONDS", 45, high=3600),
        resume_window_seconds=environment.integer("RESUME_WINDOW_SECONDS", 60, low=1, high=120),
        messages_per_second=environment.integer("MESSAGES_PER_SECOND", 30, low=1),
        bytes_per_second=environment.integer("BYTES_PER_SECOND", 65_536, low=MIN_BYTES_PER_SECOND),
        allowances_per_subject=environment.integer("ALLOWANCES_PER_SUBJECT", 4),
        allowances_per_guest_address=environment.integer("ALLOWANCES_PER_GUEST_ADDRESS", 32),
        sockets_per_address=environment.integer("SOCKETS_PER_ADDRESS", 2_000),
        web_root=environment.path("WEB_ROOT") or DEFAULT_WEB_ROOT,
    )
