"""Key sets that rotate: stage, acknowledge, switch, retire.

A new key first is only accepted. When every server that checks credentials has confirmed the set with it,
new credentials are made with it. The old key goes when every pod that makes credentials has confirmed the
switch and the last credential of the old key has expired.

The Secret is the only record: keys and times change in one write, so that a crash between any two steps
leaves a state to go on from. Times that are missing are read on the safe side.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from callcluster_common import keyset
from callcluster_common.keyset import Key, KeySet, KeySetError

from callcluster_operator.api.times import precise, seconds_of
from callcluster_operator.objects import Object
from callcluster_operator.planning.generated import key_id, secret_text

Phase = Literal["Settled", "Staged", "Overlap"]

LONGEST_TTL = 86_400
"""What the API allows: taken where it is not recorded with which TTL a key made credentials."""

_PREFIX = "callcluster.dev/"
MINTING_SINCE = _PREFIX + "minting-since"
STAGED_AT = _PREFIX + "staged-at"
CONFIRMED_AT = _PREFIX + "switch-confirmed-at"
MINT_TTL = _PREFIX + "mint-ttl-seconds"
OLD_TTL = _PREFIX + "old-ttl-seconds"
EARLIER = _PREFIX + "earlier-key-sets"


@dataclass(frozen=True)
class Policy:
    """When keys change, in seconds."""

    ttl: int
    """How long a credential lives; 0 where the key itself is the credential."""
    interval: int
    overlap: int
    skew: int


@dataclass(frozen=True)
class Ring:
    """A key set and what its next step depends on. Times are Unix seconds."""

    keys: KeySet
    minting_since: float
    mint_ttl: int
    """Longest TTL of credentials made with the minting key."""
    old_ttl: int = 0
    """The same of the key that is to be retired."""
    staged_at: float | None = None
    confirmed_at: float | None = None
    """When all makers of credentials were seen to use the minting key."""
    earlier: tuple[str, ...] = ()
    """Fingerprints of earlier sets that hold the minting key, too: a server that is late accepts it."""

    @property
    def phase(self) -> Phase:
        """How far the rotation is."""
        if len(self.keys.keys) == 1:
            return "Settled"
        return "Overlap" if self.keys.mint == self.keys.keys[-1].kid else "Staged"

    @property
    def fingerprint(self) -> str:
        """By which pods acknowledge the set."""
        return keyset.fingerprint(self.keys)

    def accepts_minting(self, key_set: str) -> bool:
        """Whether a server with that fingerprint accepts what is minted now."""
        return key_set == self.fingerprint or key_set in self.earlier

    def due_at(self, policy: Policy) -> float:
        """When the next key is staged."""
        return self.minting_since + policy.interval

    def retires_at(self, policy: Policy) -> float | None:
        """When the old key goes; ``None`` while some maker of credentials may still use it."""
        if self.phase != "Overlap" or self.confirmed_at is None:
            return None
        # The maker's clock may be ahead of ours by the skew, and the server's behind by as much.
        expired = self.confirmed_at + self.old_ttl + 2 * policy.skew
        return max(self.minting_since + policy.overlap, expired)


def first(entropy: bytes, purpose: str, policy: Policy, now: float) -> Ring:
    """A ring with one new key."""
    key = _new_key(entropy, purpose)
    return Ring(KeySet(key.kid, (key,)), minting_since=now, mint_ttl=policy.ttl)


def advance(
    ring: Ring, policy: Policy, *, accepted: bool, minted: bool, entropy: bytes, purpose: str, now: float
) -> Ring:
    """Take the next step if its time has come; otherwise the same ring.

    Args:
        ring: as it is.
        policy: when keys change.
        accepted: whether all servers that check credentials have confirmed this very key set.
        minted: whether all pods that make credentials have confirmed this very key set.
        entropy: fresh random bytes.
        purpose: tells this ring's keys from those of others.
        now: Unix time in seconds.
    """
    if policy.ttl > ring.mint_ttl:
        ring = dataclasses.replace(ring, mint_ttl=policy.ttl)
    present = ring.fingerprint
    if ring.phase == "Settled":
        if now < ring.due_at(policy):
            return ring
        key = _new_key(entropy, f"{purpose}\0{present}")
        return dataclasses.replace(
            ring,
            keys=KeySet(ring.keys.mint, (*ring.keys.keys, key)),
            staged_at=now,
            earlier=(*ring.earlier, present),
        )
    if ring.phase == "Staged":
        if not accepted:
            return ring
        return Ring(
            KeySet(ring.keys.keys[-1].kid, ring.keys.keys),
            minting_since=now,
            mint_ttl=policy.ttl,
            old_ttl=ring.mint_ttl,
            earlier=(present,),
        )
    if ring.confirmed_at is None:
        return dataclasses.replace(ring, confirmed_at=now) if minted else ring
    retires_at = ring.retires_at(policy)
    if retires_at is None or now < retires_at:
        return ring
    return Ring(
        KeySet(ring.keys.mint, (ring.keys.minting,)),
        minting_since=ring.minting_since,
        mint_ttl=ring.mint_ttl,
        earlier=(*ring.earlier, present),
    )


def read(secret: Object | None, now: float) -> Ring | None:
    """The ring that a Secret holds; ``None`` where it holds no usable key set."""
    if secret is None:
        return None
    try:
        keys = keyset.parse(base64.b64decode((secret.get("data") or {}).get(keyset.KEYS_FILE, "")))
    except (KeySetError, ValueError):
        return None
    notes: Mapping[str, str] = secret["metadata"].get("annotations", {})
    minting_since = seconds_of(notes.get(MINTING_SINCE))
    return Ring(
        keys,
        minting_since=now if minting_since is None else minting_since,
        mint_ttl=_ttl(notes.get(MINT_TTL)),
        old_ttl=_ttl(notes.get(OLD_TTL)),
        staged_at=seconds_of(notes.get(STAGED_AT)),
        confirmed_at=seconds_of(notes.get(CONFIRMED_AT)),
        earlier=tuple(notes.get(EARLIER, "").split()),
    )


def notes_of(ring: Ring) -> dict[str, str]:
    """The ring's times, as :func:`read` reads them."""
    notes = {
        MINTING_SINCE: precise(ring.minting_since),
        MINT_TTL: str(ring.mint_ttl),
        OLD_TTL: str(ring.old_ttl),
        EARLIER: " ".join(ring.earlier),
    }
    if ring.staged_at is not None:
        notes[STAGED_AT] = precise(ring.staged_at)
    if ring.confirmed_at is not None:
        notes[CONFIRMED_AT] = precise(ring.confirmed_at)
    return notes


def _new_key(entropy: bytes, purpose: str) -> Key:
    return Key(key_id(entropy, purpose), secret_text(entropy, purpose))


def _ttl(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else LONGEST_TTL
