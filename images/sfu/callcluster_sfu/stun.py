"""The one STUN message that the SFU sends itself: a check with a password (RFC 8489, RFC 8445)."""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib

BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
COOKIE = 0x2112A442
USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
FINGERPRINT = 0x8028
FINGERPRINT_XOR = 0x5354554E
_HEADER = struct.Struct("!HHI12s")
_INTEGRITY_BYTES = 24
_FINGERPRINT_BYTES = 8


def check(transaction: bytes, ufrag: bytes, password: bytes) -> bytes:
    """A binding request to the agent whose user fragment and password these are.

    Args:
        transaction: 12 random bytes.
        ufrag: of the agent that is asked.
        password: of the agent that is asked.
    """
    username = ufrag + b":health"
    body = struct.pack("!HH", USERNAME, len(username)) + username + bytes(-len(username) % 4)
    # The digest covers a header whose length counts the attribute (RFC 8489 section 14.5).
    head = _HEADER.pack(BINDING_REQUEST, len(body) + _INTEGRITY_BYTES, COOKIE, transaction)
    digest = hmac.new(password, head + body, hashlib.sha1).digest()
    body += struct.pack("!HH", MESSAGE_INTEGRITY, len(digest)) + digest
    head = _HEADER.pack(BINDING_REQUEST, len(body) + _FINGERPRINT_BYTES, COOKIE, transaction)
    checksum = zlib.crc32(head + body) ^ FINGERPRINT_XOR
    return head + body + struct.pack("!HHI", FINGERPRINT, 4, checksum)


def is_answer(data: bytes, transaction: bytes, password: bytes) -> bool:
    """Whether ``data`` is the signed success to the request of ``transaction``.

    The answer must end with MESSAGE-INTEGRITY and FINGERPRINT, as the plane writes it.
    """
    signed = len(data) - _INTEGRITY_BYTES - _FINGERPRINT_BYTES
    if signed < _HEADER.size:
        return False
    kind, _, cookie, answered = _HEADER.unpack_from(data)
    if (kind, cookie, answered) != (BINDING_SUCCESS, COOKIE, transaction):
        return False
    head = _HEADER.pack(kind, signed + _INTEGRITY_BYTES - _HEADER.size, cookie, answered)
    digest = hmac.new(password, head + data[_HEADER.size : signed], hashlib.sha1).digest()
    return hmac.compare_digest(digest, data[signed + 4 : signed + _INTEGRITY_BYTES])
