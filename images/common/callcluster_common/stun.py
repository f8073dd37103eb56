"""STUN and TURN messages (RFC 8489, RFC 8656): encode and parse, no I/O.

Just enough of the protocol for a process that checks its own port as a client would.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import struct
import zlib
from dataclasses import dataclass, field
from enum import IntEnum

MAGIC_COOKIE = 0x2112A442
HEADER = struct.Struct("!HHI12s")
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class STUNError(ValueError):
    """Bytes that are no STUN message, or an attribute that does not fit its type."""


class Method(IntEnum):
    """Methods that our processes and their tests use."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009


class Kind(IntEnum):
    """Message classes."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


class Attribute(IntEnum):
    """Attribute types that our processes and their tests use."""

    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    REQUESTED_TRANSPORT = 0x0019
    XOR_MAPPED_ADDRESS = 0x0020
    FINGERPRINT = 0x8028


def new_transaction() -> bytes:
    """A fresh transaction id: 12 random bytes."""
    return secrets.token_bytes(12)


@dataclass(frozen=True)
class Message:
    """One message. MESSAGE-INTEGRITY and FINGERPRINT are added by :func:`encode`, not listed here."""

    method: int
    kind: Kind
    attributes: tuple[tuple[int, bytes], ...] = ()
    transaction: bytes = field(default_factory=new_transaction)

    def get(self, attribute: int) -> bytes | None:
        """Value of the first attribute of that type (RFC 8489 section 14: later ones don't count)."""
        return next((value for kind, value in self.attributes if kind == attribute), None)

    @property
    def error(self) -> int | None:
        """Code of an error response (300 to 699), ``None`` for all else.

        Raises:
            STUNError: an error response without a usable ERROR-CODE.
        """
        if self.kind is not Kind.ERROR:
            return None
        value = self.get(Attribute.ERROR_CODE)
        if value is None or len(value) < 4 or not 3 <= value[2] & 7 <= 6 or value[3] > 99:
            raise STUNError("error response without a usable ERROR-CODE")
        return (value[2] & 7) * 100 + value[3]

    def address(self, attribute: int) -> tuple[IPAddress, int] | None:
        """The address and port in an XOR-…-ADDRESS attribute.

        Raises:
            STUNError: the attribute is malformed.
        """
        value = self.get(attribute)
        return None if value is None else _unxor_address(value, self.transaction)


def _type(method: int, kind: Kind) -> int:
    """Interleave class and method bits (RFC 8489 section 5)."""
    bits = (method & 0x000F) | (method & 0x0070) << 1 | (method & 0x0F80) << 2
    return bits | (kind & 1) << 4 | (kind & 2) << 7


def _split_type(value: int) -> tuple[int, Kind]:
    method = (value & 0x000F) | (value & 0x00E0) >> 1 | (value & 0x3E00) >> 2
    return method, Kind((value >> 4 & 1) | (value >> 7 & 2))


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _header(message: Message, length: int) -> bytes:
    return HEADER.pack(_type(message.method, message.kind), length, MAGIC_COOKIE, message.transaction)


def encode(message: Message, key: bytes | None = None) -> bytes:
    """Write a message with FINGERPRINT, and with MESSAGE-INTEGRITY where ``key`` is given."""
    body = b"".join(_attribute(kind, value) for kind, value in message.attributes)
    if key is not None:
        # The digest covers a header whose length already counts the attribute (RFC 8489 section 14.5).
        digest = hmac.new(key, _header(message, len(body) + 24) + body, hashlib.sha1).digest()
        body += _attribute(Attribute.MESSAGE_INTEGRITY, digest)
    header = _header(message, len(body) + 8)
    checksum = zlib.crc32(header + body) ^ 0x5354554E
    return header + body + _attribute(Attribute.FINGERPRINT, checksum.to_bytes(4, "big"))


def parse(data: bytes) -> Message:
    """Read a message; its fingerprint is checked where present, its integrity by :func:`is_authentic`.

    Raises:
        STUNError: no STUN message, or a wrong fingerprint.
    """
    if len(data) < HEADER.size:
        raise STUNError("shorter than a header")
    kind_and_method, length, cookie, transaction = HEADER.unpack_from(data)
    if kind_and_method >> 14 or cookie != MAGIC_COOKIE:
        raise STUNError("not STUN")
    if length % 4 or length != len(data) - HEADER.size:
        raise STUNError("length does not fit")
    method, kind = _split_type(kind_and_method)
    attributes = []
    for offset, attribute, value in _walk(data):
        if attribute == Attribute.FINGERPRINT:
            expected = zlib.crc32(data[:offset]) ^ 0x5354554E
            if value != expected.to_bytes(4, "big") or offset + 8 != len(data):
                raise STUNError("wrong fingerprint")
        elif attribute != Attribute.MESSAGE_INTEGRITY:
            attributes.append((attribute, value))
    return Message(method, kind, tuple(attributes), transaction)


def _walk(data: bytes) -> list[tuple[int, int, bytes]]:
    """Offset, type and value of each attribute of a message whose header was checked."""
    found = []
    offset = HEADER.size
    while offset < len(data):
        attribute, size = struct.unpack_from("!HH", data, offset)
        value = data[offset + 4 : offset + 4 + size]
        if len(value) != size:
            raise STUNError("attribute longer than its message")
        found.append((offset, attribute, value))
        offset += 4 + size + -size % 4
    return found


def is_authentic(data: bytes, key: bytes) -> bool:
    """Whether a message that :func:`parse` accepted carries a right MESSAGE-INTEGRITY under ``key``."""
    for offset, attribute, value in _walk(data):
        if attribute == Attribute.MESSAGE_INTEGRITY:
            head = data[:2] + struct.pack("!H", offset + 24 - HEADER.size) + data[4:offset]
            return hmac.compare_digest(value, hmac.new(key, head, hashlib.sha1).digest())
    return False


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """Key of MESSAGE-INTEGRITY under the long-term mechanism (RFC 8489 section 9.2.2).

    MD5 is what the protocol and coturn use; a forger would have to break HMAC-SHA-1 with it.
    """
    return hashlib.md5(f"{username}:{realm}:{password}".encode(), usedforsecurity=False).digest()


def _mask(transaction: bytes) -> bytes:
    return MAGIC_COOKIE.to_bytes(4, "big") + transaction


def xor_address(address: IPAddress, port: int, transaction: bytes) -> bytes:
    """Value of an XOR-…-ADDRESS attribute (RFC 8489 section 14.2)."""
    family = 1 if address.version == 4 else 2
    masked = bytes(a ^ b for a, b in zip(address.packed, _mask(transaction), strict=False))
    return struct.pack("!BBH", 0, family, port ^ MAGIC_COOKIE >> 16) + masked


def _unxor_address(value: bytes, transaction: bytes) -> tuple[IPAddress, int]:
    if len(value) not in (8, 20) or value[1] != (1 if len(value) == 8 else 2):
        raise STUNError("malformed address")
    port = int.from_bytes(value[2:4], "big") ^ MAGIC_COOKIE >> 16
    packed = bytes(a ^ b for a, b in zip(value[4:], _mask(transaction), strict=False))
    return ipaddress.ip_address(packed), port
