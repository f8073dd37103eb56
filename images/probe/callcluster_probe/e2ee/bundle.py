"""Member bundles: who a session is, which key its media keys are sealed to (docs/e2ee.md, section 3)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from callcluster_common.messages.types import Bundle
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from callcluster_probe.e2ee.encode import CryptoError, b64, labelled, unb64
from callcluster_probe.e2ee.room_secret import RoomSecret

LIFETIME_S = 86_400
"""Longest life of a bundle; seconds."""
SKEW_S = 3_600
"""A bundle starts this many seconds early, so that a member whose clock is behind accepts it too."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Private keys of one member of one call."""

    ik: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    ek: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)

    def sign(self, message: bytes) -> bytes:
        """Ed25519."""
        return self.ik.sign(message)

    def bundle(self, room: str, sid: str, now: float, secret: RoomSecret | None) -> Bundle:
        """The bundle of this member's session ``sid`` in ``room``; ``now`` in Unix seconds."""
        ik = self.ik.public_key().public_bytes_raw()
        ek = self.ek.public_key().public_bytes_raw()
        nbf = int(now) - SKEW_S
        exp = nbf + LIFETIME_S
        signed = labelled("bundle", room, sid, ik, ek, nbf, exp)
        return Bundle(
            suite="kx1",
            ik=b64(ik),
            ek=b64(ek),
            nbf=nbf,
            exp=exp,
            sig=b64(self.sign(signed)),
            mac=b64(_mac(secret, signed)) if secret else None,
        )


@dataclass(frozen=True, slots=True)
class Peer:
    """Public keys of a member whose bundle verified."""

    sid: str
    ik: bytes
    ek: bytes
    exp: int

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check a signature of this member.

        Raises:
            CryptoError: it is not.
        """
        _verify(self.ik, signature, message)


def verify(bundle: Bundle, room: str, sid: str, now: float, secret: RoomSecret | None) -> Peer:
    """The member behind ``bundle``; ``now`` in Unix seconds.

    Raises:
        CryptoError: the bundle is expired, not yet valid, too long-lived, not signed by its identity key
            for this room and session, or (with a ``secret``) not made by someone who holds the room secret.
    """
    ik, ek = unb64(bundle.ik), unb64(bundle.ek)
    if not bundle.nbf <= now <= bundle.exp:
        raise CryptoError("the bundle is not valid now")
    if bundle.exp - bundle.nbf > LIFETIME_S:
        raise CryptoError("the bundle lives too long")
    signed = labelled("bundle", room, sid, ik, ek, bundle.nbf, bundle.exp)
    _verify(ik, unb64(bundle.sig), signed)
    if secret and not hmac.compare_digest(unb64(bundle.mac or ""), _mac(secret, signed)):
        raise CryptoError("the bundle was made without the room secret")
    return Peer(sid, ik, ek, bundle.exp)


def _mac(secret: RoomSecret, signed: bytes) -> bytes:
    return hmac.digest(secret.mac_key, signed, "sha256")


def _verify(ik: bytes, signature: bytes, message: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(ik).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise CryptoError("the signature does not verify") from None
