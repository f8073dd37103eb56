"""Envelopes that carry a media key from one member to another (docs/e2ee.md, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from callcluster_probe.e2ee import hpke
from callcluster_probe.e2ee.bundle import Identity, Peer
from callcluster_probe.e2ee.encode import CryptoError, b64, labelled, u64, unb64
from callcluster_probe.e2ee.room_secret import RoomSecret
from callcluster_probe.e2ee.sframe import BASE_KEY, TAG

VERSION = 0x01
HEAD = 26
SEALED = HEAD + hpke.ENC_BYTES + BASE_KEY + TAG
SIZE = SEALED + 64


@dataclass(frozen=True, slots=True)
class MediaKey:
    """What an envelope gives: a base key and the ``KID`` that it is for."""

    kid: int
    base: bytes
    seq: int


def seal(
    identity: Identity,
    room: str,
    sender: str,
    to: Peer,
    key: MediaKey,
    ts: int,
    secret: RoomSecret | None,
) -> str:
    """Seal ``key`` for ``to``; ``ts`` in Unix milliseconds.

    Raises:
        CryptoError: the recipient's key is unusable.
    """
    mode = hpke.MODE_PSK if secret else hpke.MODE_BASE
    head = bytes([VERSION, mode]) + u64(key.kid) + u64(key.seq) + u64(ts)
    enc, sealed = hpke.seal(
        to.ek,
        info=labelled("key", room, sender, to.sid),
        aad=head,
        plain=key.base,
        psk=secret.psk if secret else b"",
        psk_id=secret.psk_id if secret else b"",
    )
    body = head + enc + sealed
    return b64(body + identity.sign(labelled("key", room, sender, to.sid, body)))


def open_(
    identity: Identity,
    room: str,
    sender: Peer | None,
    to: str,
    body: str,
    last_seq: int,
    secret: RoomSecret | None,
) -> MediaKey:
    """The key in an envelope for ``to``, this member. ``sender`` is the pinned, trusted sender, if any.

    Raises:
        CryptoError: any check of section 4 fails; they are made in its order.
    """
    raw = unb64(body)
    if len(raw) != SIZE or raw[0] != VERSION:
        raise CryptoError("not an envelope of this version")
    if raw[1] != (hpke.MODE_PSK if secret else hpke.MODE_BASE):
        raise CryptoError("the envelope is in the wrong mode for this room")
    if sender is None:
        raise CryptoError("the sender is not trusted")
    sender.verify(raw[SEALED:], labelled("key", room, sender.sid, to, raw[:SEALED]))
    kid, seq = int.from_bytes(raw[2:10], "big"), int.from_bytes(raw[10:18], "big")
    if seq <= last_seq:
        raise CryptoError("the envelope came before, or too late")
    base = hpke.open_(
        identity.ek,
        enc=raw[HEAD : HEAD + hpke.ENC_BYTES],
        info=labelled("key", room, sender.sid, to),
        aad=raw[:HEAD],
        sealed=raw[HEAD + hpke.ENC_BYTES : SEALED],
        psk=secret.psk if secret else b"",
        psk_id=secret.psk_id if secret else b"",
    )
    return MediaKey(kid, base, seq)
