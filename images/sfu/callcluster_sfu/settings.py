"""Settings of the SFU process, from its environment."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field
from pathlib import Path

from callcluster_common import room_names
from callcluster_common.control import DEFAULT_PORT
from callcluster_common.environment import Environment, SettingError
from callcluster_common.logs import LEVELS
from redis.asyncio.connection import parse_url

MAX_PORT = 65_535
MAX_PARTICIPANTS = 10_000
"""More than the packets of one thread could serve."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    redis_url: str = field(repr=False)
    log_level: str
    pod_name: str
    listen_host: str
    """IP address that the UDP port is bound to; ``::`` takes IPv4 as well."""
    port: int
    """UDP; 0 for any."""
    addresses: tuple[str, ...]
    """Where clients reach the port, the one to prefer first; empty while ``addresses_file`` is to tell."""
    addresses_file: Path | None
    """Gets the addresses once they are known; a pod is told after it was placed on a node."""
    control_host: str
    control_port: int
    control_keys_file: Path | None
    own_room: str
    """The opaque name of the only room that it serves; empty where it takes any."""
    max_rooms: int
    max_participants: int
    drain_seconds: int
    socket_buffer_bytes: int
    """In each direction; the kernel gives what it allows."""


def read(environment: Environment) -> Settings:
    """Read the settings.

    Raises:
        SettingError: one is missing or unusable; the message says which and how to mend it.
    """
    level = environment.text("LOG_LEVEL", "info").lower()
    listen_host = _address("SFU_HOST", environment.text("SFU_HOST", "0.0.0.0"))
    addresses_file = environment.path("SFU_ADDRESSES_FILE")
    given = environment.text("SFU_ADDRESSES", "")
    if addresses_file is not None and given:
        raise SettingError("SFU_ADDRESSES and SFU_ADDRESSES_FILE are both set: remove one of them")
    if level not in LEVELS:
        raise SettingError(f"LOG_LEVEL must be one of {', '.join(LEVELS)}, not {level!r}")
    return Settings(
        redis_url=_redis_url(environment),
        log_level=level,
        pod_name=environment.text("POD_NAME", socket.gethostname()),
        listen_host=listen_host,
        port=environment.integer("SFU_PORT", 7882, high=MAX_PORT),
        addresses=() if addresses_file else addresses_in(given, listen_host, "SFU_ADDRESSES"),
        addresses_file=addresses_file,
        control_host=environment.text("CONTROL_HOST", "0.0.0.0"),
        control_port=environment.integer("CONTROL_PORT", DEFAULT_PORT, high=MAX_PORT),
        control_keys_file=environment.path("CONTROL_KEYS_FILE"),
        own_room=_own_room(environment.text("SFU_ROOM", "")),
        max_rooms=environment.integer("MAX_ROOMS", 200, low=1, high=MAX_PARTICIPANTS),
        max_participants=environment.integer("MAX_PARTICIPANTS", 500, low=1, high=MAX_PARTICIPANTS),
        drain_seconds=environment.integer("DRAIN_SECONDS", 3600, high=86_400),
        socket_buffer_bytes=environment.integer("SOCKET_BUFFER_BYTES", 8 << 20, low=65_536, high=1 << 30),
    )


def _own_room(name: str) -> str:
    if name and not room_names.is_room_key(name):
        raise SettingError(
            "SFU_ROOM must be the opaque name of a room: r- and 20 characters of a-z and 2-7"
        )
    return name


def _redis_url(environment: Environment) -> str:
    url = environment.text("REDIS_URL")
    try:
        if not url.startswith(("redis://", "rediss://")):
            raise ValueError
        parse_url(url)
    except ValueError:
        # The URL may hold a password: it is not repeated.
        raise SettingError(
            "REDIS_URL must look like redis://[user:password@]host[:port][/db], or rediss://..."
        ) from None
    return url


def addresses_in(text: str, listen_host: str, name: str) -> tuple[str, ...]:
    """The addresses in a list that is separated by commas or white space.

    Raises:
        SettingError: there is none, or one can't be used; the message calls the list ``name``.
    """
    addresses = tuple(_address(name, word) for word in text.replace(",", " ").split())
    if not addresses:
        raise SettingError(f"{name} is required: the IP addresses at which clients reach the SFU")
    for address in addresses:
        if ipaddress.ip_address(address).is_unspecified:
            raise SettingError(f"{name} must name addresses that clients can reach, not {address}")
    if any(":" in address for address in addresses) and ":" not in listen_host:
        raise SettingError(f"{name} has an IPv6 address: set SFU_HOST to :: or to that address")
    return addresses


def _address(name: str, word: str) -> str:
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        raise SettingError(f"{name} takes IP addresses such as 192.0.2.1, not {word!r}") from None
