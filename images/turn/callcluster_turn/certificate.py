"""The TLS certificate and key: read as a pair, checked as a pair, followed as a pair."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from callcluster_common.watched_file import INTERVAL_SECONDS
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from callcluster_turn.settings import TLS


class CertificateError(ValueError):
    """The files can't be used; the message says why and holds nothing of the key."""


@dataclass(frozen=True)
class Pair:
    """A certificate chain and its key, both PEM."""

    chain: bytes
    key: bytes
    expires: float
    """Unix time in seconds."""

    def __repr__(self) -> str:
        """Leave the key out, so that no traceback or log can show it."""
        return f"Pair(expires={self.expires})"

    def write(self, directory: Path) -> tuple[Path, Path]:
        """Put the pair where coturn reads it: in files of our own, so that it never sees half a change."""
        chain, key = paths(directory)
        chain.write_bytes(self.chain)
        key.touch(mode=0o600)
        key.write_bytes(self.key)
        return chain, key


def paths(directory: Path) -> tuple[Path, Path]:
    """Where :meth:`Pair.write` puts chain and key."""
    return directory / "tls.crt", directory / "tls.key"


def parse(chain: bytes, key: bytes) -> Pair:
    """Check that certificate and key belong together.

    Raises:
        CertificateError: one is malformed or encrypted, or they do not match.
    """
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
        public = leaf.public_key()
    except (ValueError, IndexError):
        raise CertificateError("TLS_CERT_FILE holds no usable PEM certificate") from None
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError):
        raise CertificateError("TLS_KEY_FILE holds no usable PEM key without a password") from None
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(encoding, form) != public.public_bytes(encoding, form):
        raise CertificateError("TLS_CERT_FILE and TLS_KEY_FILE do not belong together")
    return Pair(chain, key, leaf.not_valid_after_utc.timestamp())


async def follow(tls: TLS, interval: float = INTERVAL_SECONDS) -> AsyncIterator[Pair | CertificateError]:
    """Yield the pair, or what is wrong with it, now and after each change of either file."""
    last: tuple[bytes, bytes] | None = None
    while True:
        try:
            # Two small projected files: cheaper read here than on a thread.
            files = (tls.cert_file.read_bytes(), tls.key_file.read_bytes())
        except OSError:
            files = (b"", b"")
        if files != last:
            last = files
            try:
                yield parse(*files)
            except CertificateError as error:
                yield error
        await asyncio.sleep(interval)
