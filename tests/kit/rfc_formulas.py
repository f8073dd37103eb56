"""SFrame and HPKE straight from the formulas of RFC 9605 and RFC 9180, as a judge of vectors and products.

It shares no code with either product: HKDF stands on `hmac`, X25519 on whole numbers; only AES-GCM is
borrowed. Slow, and not in constant time: for tests alone.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

P = 2**255 - 19
BASE_POINT = (9).to_bytes(32, "little")
FRAME_SUITES = {4: ("sha256", 16), 5: ("sha512", 32)}
"""Hash and `Nk` of the SFrame suites with AES-GCM (RFC 9605, 4.5)."""
HPKE_KEY_BYTES = {1: 16, 2: 32}
"""`Nk` of the AES-GCM AEADs of HPKE (RFC 9180, 7.3)."""


def extract(algorithm: str, salt: bytes, ikm: bytes) -> bytes:
    """HKDF-Extract (RFC 5869, 2.2); HMAC pads an empty salt with zeros by itself."""
    return hmac.digest(salt, ikm, algorithm)


def expand(algorithm: str, prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869, 2.3)."""
    okm = block = b""
    for number in range(1, 256):
        if len(okm) >= length:
            break
        block = hmac.digest(prk, block + info + bytes([number]), algorithm)
        okm += block
    return okm[:length]


def aes_gcm(key: bytes, nonce: bytes, aad: bytes, plain: bytes) -> bytes:
    """Ciphertext and tag."""
    sealer = Cipher(AES(key), GCM(nonce)).encryptor()
    sealer.authenticate_additional_data(aad)
    return sealer.update(plain) + sealer.finalize() + sealer.tag


def x25519(scalar: bytes, point: bytes) -> bytes:
    """RFC 7748, 5: the Montgomery ladder."""
    k = (int.from_bytes(scalar, "little") & ~7 & (2**255 - 1)) | 2**254
    x1 = int.from_bytes(point, "little") & (2**255 - 1)
    x2, z2, x3, z3 = 1, 0, x1, 1
    for bit in range(254, -1, -1):
        swap = k >> bit & 1
        if swap:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, (aa - bb) * (aa + 121_665 * (aa - bb)) % P
        if swap:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def public_key(private: bytes) -> bytes:
    """The X25519 public key."""
    return x25519(private, BASE_POINT)


def frame_header(kid: int, counter: int) -> bytes:
    """RFC 9605, 4.3: X and K, Y and C in one byte, then what did not fit into three bits."""

    def field(value: int) -> tuple[str, bytes]:
        if value <= 7:
            return f"0{value:03b}", b""
        digits = f"{value:x}"
        raw = bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))
        return f"1{len(raw) - 1:03b}", raw

    (k_bits, k_bytes), (c_bits, c_bytes) = field(kid), field(counter)
    return bytes([int(k_bits + c_bits, 2)]) + k_bytes + c_bytes


@dataclass(frozen=True, slots=True)
class FrameSecrets:
    """`sframe_key` and `sframe_salt`."""

    key: bytes
    salt: bytes


def frame_secrets(suite: int, kid: int, base_key: bytes) -> FrameSecrets:
    """RFC 9605, 4.4.2."""
    algorithm, key_bytes = FRAME_SUITES[suite]
    secret = extract(algorithm, b"", base_key)
    end = kid.to_bytes(8, "big") + suite.to_bytes(2, "big")
    return FrameSecrets(
        expand(algorithm, secret, b"SFrame 1.0 Secret key " + end, key_bytes),
        expand(algorithm, secret, b"SFrame 1.0 Secret salt " + end, 12),
    )


def sealed_frame(
    suite: int, kid: int, counter: int, base_key: bytes, metadata: bytes, plain: bytes
) -> bytes:
    """RFC 9605, 4.4.3: header, ciphertext, tag."""
    secrets = frame_secrets(suite, kid, base_key)
    nonce = bytes(a ^ b for a, b in zip(secrets.salt, counter.to_bytes(12, "big"), strict=True))
    header = frame_header(kid, counter)
    return header + aes_gcm(secrets.key, nonce, header + metadata, plain)


@dataclass(frozen=True, slots=True)
class Sealing:
    """All that RFC 9180 prints of a sealed message."""

    enc: bytes
    shared_secret: bytes
    key: bytes
    nonce: bytes
    ciphertext: bytes


def hpke_seal(
    aead: int,
    ephemeral: bytes,
    recipient: bytes,
    info: bytes,
    aad: bytes,
    plain: bytes,
    psk: bytes = b"",
    psk_id: bytes = b"",
) -> Sealing:
    """RFC 9180, 4.1, 5.1 and 5.2 for X25519 and HKDF-SHA256: the first message; mode psk where given."""
    enc = public_key(ephemeral)
    kem = b"KEM\x00\x20"
    prk = _labelled_extract(kem, b"", b"eae_prk", x25519(ephemeral, recipient))
    shared = _labelled_expand(kem, prk, b"shared_secret", enc + recipient, 32)
    suite = b"HPKE\x00\x20\x00\x01\x00" + bytes([aead])
    context = b"\x01" if psk else b"\x00"
    context += _labelled_extract(suite, b"", b"psk_id_hash", psk_id)
    context += _labelled_extract(suite, b"", b"info_hash", info)
    secret = _labelled_extract(suite, shared, b"secret", psk)
    key = _labelled_expand(suite, secret, b"key", context, HPKE_KEY_BYTES[aead])
    nonce = _labelled_expand(suite, secret, b"base_nonce", context, 12)
    return Sealing(enc, shared, key, nonce, aes_gcm(key, nonce, aad, plain))


def _labelled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return extract("sha256", salt, b"HPKE-v1" + suite + label + ikm)


def _labelled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand("sha256", prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)
