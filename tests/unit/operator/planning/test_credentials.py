"""Keys are staged, confirmed, switched and retired, in this order and never early."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

from callcluster_common import keyset
from callcluster_operator.planning import credentials
from callcluster_operator.planning.credentials import LONGEST_TTL, Policy, Ring

POLICY = Policy(ttl=100, interval=1000, overlap=150, skew=10)
ENTROPY = bytes(range(64))


def advance(ring: Ring, now: float, *, accepted: bool = False, minted: bool = False) -> Ring:
    return credentials.advance(
        ring, POLICY, accepted=accepted, minted=minted, entropy=ENTROPY, purpose="test", now=now
    )


def settled() -> Ring:
    return credentials.first(ENTROPY, "test", POLICY, 0)


def staged() -> Ring:
    return advance(settled(), 1000)


def switched() -> Ring:
    return advance(staged(), 1010, accepted=True)


def confirmed(now: float = 1020) -> Ring:
    return advance(switched(), now, minted=True)


def test_a_key_stays_until_its_interval_is_over() -> None:
    assert advance(settled(), 999.9, accepted=True, minted=True) == settled()
    assert staged().phase == "Staged"


def test_a_staged_key_is_accepted_and_does_not_mint() -> None:
    ring = staged()
    assert ring.keys.mint == settled().keys.mint
    assert len(ring.keys.keys) == 2
    assert advance(ring, 9999, minted=True) == ring, "it waits for servers as long as it takes"


def test_minting_switches_when_all_servers_have_confirmed() -> None:
    ring = switched()
    assert (ring.phase, ring.keys.mint) == ("Overlap", staged().keys.keys[1].kid)
    assert ring.minting_since == 1010


def test_the_old_key_stays_while_somebody_may_mint_with_it() -> None:
    assert advance(switched(), 99_999, accepted=True) == switched()
    assert switched().retires_at(POLICY) is None


def test_the_old_key_goes_after_the_overlap() -> None:
    ring = confirmed()
    assert advance(ring, 1159.9, accepted=True, minted=True) == ring
    retired = advance(ring, 1160)
    assert retired.keys.kids == (ring.keys.mint,)
    assert retired.phase == "Settled"


def test_a_late_confirmation_keeps_the_old_key_until_its_last_credential_has_expired() -> None:
    ring = confirmed(now=1500)
    assert ring.retires_at(POLICY) == 1500 + 100 + 2 * 10
    assert advance(ring, 1619.9) == ring
    assert advance(ring, 1620).phase == "Settled"


def test_a_ttl_that_was_longer_before_the_switch_counts() -> None:
    longer = dataclasses.replace(POLICY, ttl=500)
    ring = credentials.advance(
        settled(), longer, accepted=False, minted=False, entropy=ENTROPY, purpose="test", now=10
    )
    assert ring.mint_ttl == 500
    ring = advance(advance(advance(ring, 1000), 1010, accepted=True), 1020, minted=True)
    assert ring.mint_ttl == 100, "the new key never made the long ones"
    assert ring.retires_at(POLICY) == 1020 + 500 + 2 * 10


def test_the_next_key_comes_an_interval_after_the_switch() -> None:
    retired = advance(confirmed(), 1200)
    assert advance(retired, 2009.9) == retired
    assert advance(retired, 2010).phase == "Staged"


def test_servers_that_are_late_accept_what_is_minted() -> None:
    first, second, third = settled(), staged(), switched()
    assert second.accepts_minting(first.fingerprint)
    assert third.accepts_minting(second.fingerprint)
    assert not third.accepts_minting(first.fingerprint)
    retired = advance(confirmed(), 1200)
    assert retired.accepts_minting(second.fingerprint), "it holds the minting key, too"
    assert advance(retired, 2010).accepts_minting(third.fingerprint)
    assert not advance(advance(retired, 2010), 2020, accepted=True).accepts_minting(third.fingerprint)


def test_no_two_keys_or_ids_are_the_same_even_with_the_same_entropy() -> None:
    kids, secrets = set(), set()
    ring, now = settled(), 0.0
    for _ in range(20):
        now += 1000
        ring = advance(ring, now, accepted=True, minted=True)
        kids |= set(ring.keys.kids)
        secrets |= {key.secret for key in ring.keys.keys}
    assert len(kids) == len(secrets) > 3


def secret(ring: Ring, notes: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"annotations": credentials.notes_of(ring) if notes is None else notes},
        "data": {keyset.KEYS_FILE: base64.b64encode(keyset.encode(ring.keys)).decode()},
    }


def test_a_ring_comes_back_from_its_secret() -> None:
    for ring in (settled(), staged(), switched(), confirmed()):
        assert credentials.read(secret(ring), 5000) == ring


def test_lost_times_make_everything_slower_and_nothing_faster() -> None:
    ring = credentials.read(secret(confirmed(), {}), 5000)
    assert ring is not None
    assert ring.phase == "Overlap"
    assert ring.retires_at(POLICY) is None, "the confirmation has to come again"
    again = advance(ring, 5000, minted=True)
    assert again.retires_at(POLICY) == 5000 + LONGEST_TTL + 2 * 10


def test_a_secret_without_a_usable_key_set_is_none() -> None:
    assert credentials.read(None, 0) is None
    for data in ({}, {keyset.KEYS_FILE: "%%"}, {keyset.KEYS_FILE: base64.b64encode(b"{}").decode()}):
        assert credentials.read({"metadata": {}, "data": data}, 0) is None
    assert credentials.read({"metadata": {}}, 0) is None


def test_a_key_set_that_somebody_wrote_by_hand_rotates_on() -> None:
    keys = keyset.KeySet("b", tuple(keyset.Key(kid, kid * 40) for kid in ("a", "b", "c")))
    ring = credentials.read(secret(Ring(keys, 0, 100), {}), 50)
    assert ring is not None
    assert ring.phase == "Staged"
    assert advance(ring, 60, accepted=True).keys.mint == "c"
