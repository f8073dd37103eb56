"""Certificate and key as a pair."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from callcluster_turn import certificate
from callcluster_turn.certificate import CertificateError, Pair
from callcluster_turn.settings import TLS
from cryptography.hazmat.primitives import serialization
from kit.turn_certificates import EXPIRES, self_signed


def test_a_matching_pair_is_taken_with_its_expiry() -> None:
    chain, key = self_signed("one.example")

    assert certificate.parse(chain, key).expires == EXPIRES.timestamp()


def test_the_first_certificate_of_a_chain_counts() -> None:
    chain, key = self_signed("one.example")
    issuer, _ = self_signed("issuer.example")

    assert certificate.parse(chain + issuer, key).chain == chain + issuer
    with pytest.raises(CertificateError, match="do not belong together"):
        certificate.parse(issuer + chain, key)


def test_files_of_two_pairs_are_refused() -> None:
    with pytest.raises(CertificateError, match="do not belong together"):
        certificate.parse(self_signed("one.example")[0], self_signed("two.example")[1])


def test_an_encrypted_key_is_refused() -> None:
    chain, key = self_signed("one.example")
    encrypted = serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )

    with pytest.raises(CertificateError, match="without a password"):
        certificate.parse(chain, encrypted)


@pytest.mark.parametrize(
    "junk", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_junk_is_refused(junk: bytes) -> None:
    chain, key = self_signed("one.example")

    with pytest.raises(CertificateError, match="TLS_CERT_FILE holds no usable"):
        certificate.parse(junk, key)
    with pytest.raises(CertificateError, match="TLS_KEY_FILE holds no usable"):
        certificate.parse(chain, junk)


def test_a_pair_does_not_show_its_key() -> None:
    pair = certificate.parse(*self_signed("one.example"))

    assert "PRIVATE" not in repr(pair)
    assert str(pair.key) not in repr(pair)


def test_the_copy_for_coturn_is_for_its_owner_only(tmp_path: Path) -> None:
    pair = certificate.parse(*self_signed("one.example"))

    chain, key = pair.write(tmp_path)

    assert (chain.read_bytes(), key.read_bytes()) == (pair.chain, pair.key)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


async def test_each_change_is_told_once(tmp_path: Path) -> None:
    tls = TLS(5349, tmp_path / "tls.crt", tmp_path / "tls.key")
    found = certificate.follow(tls, interval=0.01)

    first = await anext(found)
    chain, key = self_signed("one.example")
    tls.key_file.write_bytes(key)
    tls.cert_file.write_bytes(chain)
    second = await anext(found)
    tls.cert_file.write_bytes(self_signed("two.example")[0])
    third = await anext(found)

    assert isinstance(first, CertificateError)
    assert isinstance(second, Pair)
    assert isinstance(third, CertificateError)
