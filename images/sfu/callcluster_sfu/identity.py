"""The certificate that clients meet in the DTLS handshake: new for every process, known by its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from callcluster_sfu.sdp.values import Fingerprint

LIFE = timedelta(days=3650)
"""Beyond any process: WebRTC checks the fingerprint, and some clients the dates as well."""
LEEWAY = timedelta(days=1)
"""For clients whose clock is behind."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key (PKCS#8), both DER."""

    certificate: bytes
    private_key: bytes = field(repr=False)

    @property
    def fingerprint(self) -> Fingerprint:
        """As descriptions announce it (RFC 8122)."""
        return Fingerprint("sha-256", hashlib.sha256(self.certificate).digest())


def make() -> Identity:
    """A self-signed certificate with an ECDSA P-256 key; it names nobody (RFC 8827 section 6.5)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WebRTC")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LEEWAY)
        .not_valid_after(now + LIFE)
        .sign(key, hashes.SHA256())
    )
    return Identity(
        certificate.public_bytes(serialization.Encoding.DER),
        key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
