"""Notation of docs/e2ee.md, section 1: length-prefixed fields, labels, base64url, HKDF."""

from __future__ import annotations

import base64
import binascii

from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

LABEL = "callcluster/kx1/"

Field = bytes | str | int


class CryptoError(ValueError):
    """Something from outside did not verify or did not open. The message names the check, never a key."""


def u64(number: int) -> bytes:
    """``number`` as unsigned 64-bit big-endian."""
    return number.to_bytes(8, "big")


def lp(field: Field) -> bytes:
    """The field with its length in front (16 bits); strings as UTF-8, numbers as ``u64``.

    Raises:
        CryptoError: the field is longer than 65,535 bytes.
    """
    raw = u64(field) if isinstance(field, int) else field.encode() if isinstance(field, str) else field
    if len(raw) > 0xFFFF:
        raise CryptoError("a field is longer than 65535 bytes")
    return len(raw).to_bytes(2, "big") + raw


def labelled(label: str, *fields: Field) -> bytes:
    """``E(label, …)``: unambiguous bytes, never the same for two different lists of fields."""
    return lp(LABEL + label) + b"".join(lp(field) for field in fields)


def b64(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The bytes behind ``text``; only the one canonical spelling is taken.

    Raises:
        CryptoError: ``text`` is no base64url without padding.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars="-_", validate=True)
    except (binascii.Error, ValueError):
        raise CryptoError("not base64url") from None
    if b64(raw) != text:
        raise CryptoError("not base64url in its canonical form")
    return raw


def extract(salt: bytes, ikm: bytes, algorithm: HashAlgorithm) -> bytes:
    """HKDF-Extract (RFC 5869)."""
    return HKDF.extract(algorithm, salt, ikm)


def expand(prk: bytes, info: bytes, length: int, algorithm: HashAlgorithm) -> bytes:
    """HKDF-Expand (RFC 5869)."""
    return HKDFExpand(algorithm, length, info).derive(prk)


def hkdf(ikm: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA-256 with an empty salt."""
    return expand(extract(b"", ikm, SHA256()), info, length, SHA256())
