"""HPKE (RFC 9180), single-shot, modes base and psk, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-GCM.

``cryptography`` has HPKE without pre-shared keys and without associated data, and this protocol needs both.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from callcluster_probe.e2ee.encode import CryptoError, expand, extract

MODE_BASE = 0
MODE_PSK = 1

KEM_X25519 = 0x0020
KDF_SHA256 = 0x0001
AEAD_AES_128_GCM = 0x0001
AEAD_AES_256_GCM = 0x0002
KEY_BYTES = {AEAD_AES_128_GCM: 16, AEAD_AES_256_GCM: 32}

ENC_BYTES = 32
KEM_SUITE = b"KEM" + KEM_X25519.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Context:
    """Key and nonce for the first message of a context, the only one that a single shot seals."""

    key: bytes
    nonce: bytes

    def seal(self, aad: bytes, plain: bytes) -> bytes:
        """Encrypt."""
        return AESGCM(self.key).encrypt(self.nonce, plain, aad)

    def open(self, aad: bytes, sealed: bytes) -> bytes:
        """Decrypt.

        Raises:
            CryptoError: another key, other associated data, or changed bytes.
        """
        try:
            return AESGCM(self.key).decrypt(self.nonce, sealed, aad)
        except InvalidTag:
            raise CryptoError("the sealed key does not open") from None


def seal(
    recipient: bytes,
    info: bytes,
    aad: bytes,
    plain: bytes,
    psk: bytes = b"",
    psk_id: bytes = b"",
    ephemeral: X25519PrivateKey | None = None,
    aead: int = AEAD_AES_256_GCM,
) -> tuple[bytes, bytes]:
    """Seal ``plain`` to the public key ``recipient``; mode psk where a ``psk`` is given.

    Returns:
        ``enc`` and the ciphertext.

    Raises:
        CryptoError: ``recipient`` is no usable X25519 key.
    """
    ephemeral = ephemeral or X25519PrivateKey.generate()
    enc = ephemeral.public_key().public_bytes_raw()
    shared = _shared_secret(_exchange(ephemeral, recipient), enc + recipient)
    return enc, key_schedule(shared, info, psk, psk_id, aead).seal(aad, plain)


def open_(
    key: X25519PrivateKey,
    enc: bytes,
    info: bytes,
    aad: bytes,
    sealed: bytes,
    psk: bytes = b"",
    psk_id: bytes = b"",
    aead: int = AEAD_AES_256_GCM,
) -> bytes:
    """Open what ``seal`` made for ``key``.

    Raises:
        CryptoError: it does not open.
    """
    own = key.public_key().public_bytes_raw()
    shared = _shared_secret(_exchange(key, enc), enc + own)
    return key_schedule(shared, info, psk, psk_id, aead).open(aad, sealed)


def key_schedule(shared: bytes, info: bytes, psk: bytes, psk_id: bytes, aead: int) -> Context:
    """RFC 9180, 5.1.

    Raises:
        CryptoError: only one of ``psk`` and ``psk_id`` is given.
    """
    if bool(psk) != bool(psk_id):
        raise CryptoError("psk and psk_id go together")
    suite = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in (KEM_X25519, KDF_SHA256, aead))
    mode = bytes([MODE_PSK if psk else MODE_BASE])
    context = (
        mode
        + _labeled_extract(suite, b"", b"psk_id_hash", psk_id)
        + _labeled_extract(suite, b"", b"info_hash", info)
    )
    secret = _labeled_extract(suite, shared, b"secret", psk)
    return Context(
        key=_labeled_expand(suite, secret, b"key", context, KEY_BYTES[aead]),
        nonce=_labeled_expand(suite, secret, b"base_nonce", context, 12),
    )


def _exchange(key: X25519PrivateKey, public: bytes) -> bytes:
    try:
        return key.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:  # wrong length, or a point of small order
        raise CryptoError("not a usable X25519 key") from None


def _shared_secret(dh: bytes, kem_context: bytes) -> bytes:
    prk = _labeled_extract(KEM_SUITE, b"", b"eae_prk", dh)
    return _labeled_expand(KEM_SUITE, prk, b"shared_secret", kem_context, 32)


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return extract(salt, b"HPKE-v1" + suite + label + ikm, SHA256())


def _labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length, SHA256())
