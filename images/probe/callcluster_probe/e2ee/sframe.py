"""SFrame (RFC 9605), cipher suite AES_256_GCM_SHA512_128: header, keys, sealing, ratchet."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512

from callcluster_probe.e2ee.encode import CryptoError, expand, extract

SUITE = 0x0005
BASE_KEY = 64
"""Bytes of a base key: the suite's ``Nh``."""
TAG = 16
NONCE = 12
MAX_STEP = 0xFF
LIMIT = 1 << 64


def new_base_key() -> bytes:
    """A random base key."""
    return os.urandom(BASE_KEY)


def key_id(generation: int, step: int) -> int:
    """``KID`` of a generation and its ratchet step (RFC 9605, 5.1)."""
    return generation << 8 | step


def split_key_id(kid: int) -> tuple[int, int]:
    """Generation and step."""
    return kid >> 8, kid & MAX_STEP


def ratchet(base: bytes) -> bytes:
    """The base key one step on (RFC 9605, 5.1); there is no way back."""
    return expand(extract(b"", base, SHA512()), b"SFrame 1.0 Ratchet", BASE_KEY, SHA512())


def encode_header(kid: int, counter: int) -> bytes:
    """RFC 9605, 4.3."""
    config_kid, kid_bytes = _field(kid)
    config_counter, counter_bytes = _field(counter)
    return bytes([config_kid << 4 | config_counter]) + kid_bytes + counter_bytes


def decode_header(frame: bytes) -> tuple[int, int, int]:
    """``KID``, counter and length of the header.

    Raises:
        CryptoError: the frame ends within its header.
    """
    if not frame:
        raise CryptoError("no SFrame header")
    kid, position = _take(frame, frame[0] >> 4, 1)
    counter, position = _take(frame, frame[0] & 0x0F, position)
    return kid, counter, position


def _field(value: int) -> tuple[int, bytes]:
    """Four bits of the config byte, and the bytes that follow it."""
    if not 0 <= value < LIMIT:
        raise ValueError("KID and counter are 64-bit")
    if value < 8:
        return value, b""
    length = (value.bit_length() + 7) // 8
    return 8 | length - 1, value.to_bytes(length, "big")


def _take(frame: bytes, config: int, position: int) -> tuple[int, int]:
    if not config & 8:
        return config, position
    end = position + (config & 7) + 1
    if len(frame) < end:
        raise CryptoError("the frame ends within its SFrame header")
    return int.from_bytes(frame[position:end], "big"), end


class FrameKey:
    """Key and salt of one ``KID`` (RFC 9605, 4.4.2)."""

    def __init__(self, kid: int, base: bytes) -> None:
        self.kid = kid
        secret = extract(b"", base, SHA512())
        suffix = kid.to_bytes(8, "big") + SUITE.to_bytes(2, "big")
        self.key = expand(secret, b"SFrame 1.0 Secret key " + suffix, 32, SHA512())
        self.salt = expand(secret, b"SFrame 1.0 Secret salt " + suffix, NONCE, SHA512())
        self._aead = AESGCM(self.key)
        self._salt_number = int.from_bytes(self.salt, "big")

    def nonce(self, counter: int) -> bytes:
        """Salt XOR counter."""
        return (self._salt_number ^ counter).to_bytes(NONCE, "big")

    def seal(self, counter: int, metadata: bytes, plain: bytes) -> bytes:
        """Header and ciphertext. The caller never gives the same counter twice."""
        header = encode_header(self.kid, counter)
        return header + self._aead.encrypt(self.nonce(counter), plain, header + metadata)

    def open(self, metadata: bytes, frame: bytes) -> tuple[int, bytes]:
        """Counter and plaintext of a frame whose header names this key.

        Raises:
            CryptoError: another key, other metadata, or changed bytes.
        """
        kid, counter, start = decode_header(frame)
        if kid != self.kid or len(frame) < start + TAG:
            raise CryptoError("another key's frame, or too short")
        try:
            plain = self._aead.decrypt(self.nonce(counter), frame[start:], frame[:start] + metadata)
        except InvalidTag:
            raise CryptoError("the frame does not open") from None
        return counter, plain
