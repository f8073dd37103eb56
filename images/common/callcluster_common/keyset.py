"""Key sets that rotate: several keys are accepted, one mints.

One JSON file (key ``keys.json`` of a Secret) carries a set to every pod that needs it. A pod acknowledges a
set by reporting its :func:`fingerprint`; the operator moves on only when all have.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

KEYS_FILE = "keys.json"
"""Name of the file, and of the Secret's key."""


class KeySetError(ValueError):
    """The key set can't be used; the message says how to mend it and holds no key."""


class Key(msgspec.Struct, frozen=True):
    """One key. ``kid`` may be logged; ``secret`` never."""

    kid: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]{1,16}\Z")]
    secret: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{32,128}\Z")]

    def __repr__(self) -> str:
        """Leave the secret out, so that no traceback or log can show it."""
        return f"Key(kid={self.kid!r})"


class KeySet(msgspec.Struct, frozen=True):
    """Keys that are accepted, and the one that new credentials are made with."""

    mint: str
    keys: tuple[Key, ...]

    @property
    def minting(self) -> Key:
        """The key that new credentials are made with."""
        return next(key for key in self.keys if key.kid == self.mint)

    @property
    def kids(self) -> tuple[str, ...]:
        """Ids of all accepted keys, in the set's order."""
        return tuple(key.kid for key in self.keys)


def parse(data: bytes | str) -> KeySet:
    """Read a key set.

    Raises:
        KeySetError: not JSON, a field is missing or malformed, ids repeat, or ``mint`` names no key.
    """
    try:
        keyset = msgspec.json.decode(data, type=KeySet)
    except msgspec.MsgspecError as error:
        # msgspec names the path and the expected type, never the value.
        raise KeySetError(f"key set: {error}") from None
    if len(set(keyset.kids)) != len(keyset.kids):
        raise KeySetError("key set: key ids repeat; give every key an id of its own")
    if keyset.mint not in keyset.kids:
        raise KeySetError(f"key set: mint {keyset.mint!r} is not among the keys {keyset.kids!r}")
    return keyset


def encode(keyset: KeySet) -> bytes:
    """Write a key set; the same set gives the same bytes."""
    return msgspec.json.encode(keyset)


def fingerprint(keyset: KeySet) -> str:
    """Acknowledgement of a set: 16 hex digits over key ids, secrets and the minting key.

    Safe to show: the secrets are long and random, so a truncated hash reveals nothing of them.
    """
    digest = hashlib.sha256(b"callcluster keyset")
    for key in sorted(keyset.keys, key=lambda key: key.kid):
        digest.update(f"\0{key.kid}\0{key.secret}".encode())
    digest.update(f"\0mint\0{keyset.mint}".encode())
    return digest.hexdigest()[:16]
