"""The room secret of the join link and what is sealed under it: docs/e2ee.md, sections 2 and 3."""

from __future__ import annotations

import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from callcluster_probe.e2ee.encode import CryptoError, b64, hkdf, labelled, unb64

NONCE = 12


class RoomSecret:
    """Keys of one room, derived from the 32 bytes behind ``k`` in its link."""

    def __init__(self, room: str, secret: bytes) -> None:
        if len(secret) != 32:
            raise CryptoError("the room secret is not 32 bytes")
        self.room = room
        self.psk = hkdf(secret, labelled("psk", room), 32)
        self.psk_id = labelled("psk", room)
        self.mac_key = hkdf(secret, labelled("roster", room), 32)
        self._meta = AESGCM(hkdf(secret, labelled("meta", room), 32))
        self._messages = AESGCM(hkdf(secret, labelled("msg", room), 32))

    def seal_name(self, sid: str, name: str) -> str:
        """The ``meta`` of a member."""
        return _seal(self._meta, {"name": name}, labelled("meta", self.room, sid))

    def open_name(self, sid: str, meta: str) -> str:
        """The display name in ``meta``.

        Raises:
            CryptoError: it was not sealed for this room and member.
        """
        opened = _open(self._meta, meta, labelled("meta", self.room, sid))
        name = opened.get("name") if isinstance(opened, dict) else None
        if not isinstance(name, str):
            raise CryptoError("meta holds no name")
        return name

    def seal_message(self, sid: str, message: object) -> str:
        """The ``body`` of a ``msg`` from ``sid``; ``message`` is anything that JSON can hold."""
        return _seal(self._messages, message, labelled("msg", self.room, sid))

    def open_message(self, sid: str, body: str) -> object:
        """What ``sid`` sent.

        Raises:
            CryptoError: it was not sealed for this room by that member.
        """
        return _open(self._messages, body, labelled("msg", self.room, sid))


def _seal(key: AESGCM, value: object, aad: bytes) -> str:
    nonce = os.urandom(NONCE)
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return b64(nonce + key.encrypt(nonce, plain, aad))


def _open(key: AESGCM, sealed: str, aad: bytes) -> object:
    raw = unb64(sealed)
    if len(raw) < NONCE + 16:
        raise CryptoError("too short to be sealed")
    try:
        opened: object = json.loads(key.decrypt(raw[:NONCE], raw[NONCE:], aad))
    except InvalidTag:
        raise CryptoError("sealed under another secret, or changed") from None
    except ValueError:
        raise CryptoError("no JSON inside") from None
    return opened
