"""The code against the vectors, as is the browser's, and the vectors against the formulas of the RFCs."""

import json
from pathlib import Path

import pytest
from callcluster_probe.e2ee import hpke
from callcluster_probe.e2ee.encode import CryptoError
from callcluster_probe.e2ee.sframe import SUITE, FrameKey, decode_header, encode_header
from cryptography.hazmat.primitives import hpke as reference
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from kit import rfc_formulas

VECTORS = Path(__file__).parents[2] / "vectors"
SFRAME = json.loads((VECTORS / "sframe.json").read_text())
HPKE = json.loads((VECTORS / "hpke.json").read_text())["messages"]
FRAMES = [vector for vector in SFRAME["frames"] if vector["suite"] == SUITE]


def raw(vector, name):
    return bytes.fromhex(vector.get(name, ""))


def number(vector, name):
    return int(vector[name], 16)


@pytest.mark.parametrize("vector", FRAMES, ids=lambda v: f"suite-{v['suite']}")
def test_sframe_keys_and_frames(vector):
    key = FrameKey(number(vector, "kid"), raw(vector, "baseKey"))
    assert key.key == raw(vector, "key")
    assert key.salt == raw(vector, "salt")
    counter, metadata, plain = number(vector, "counter"), raw(vector, "metadata"), raw(vector, "plaintext")
    assert key.seal(counter, metadata, plain) == raw(vector, "sealed")
    assert key.open(metadata, raw(vector, "sealed")) == (counter, plain)


def test_there_is_a_vector_of_everything_in_use():
    assert FRAMES
    modes = {vector["mode"] for vector in HPKE if vector["aead"] == hpke.AEAD_AES_256_GCM}
    assert modes == {hpke.MODE_BASE, hpke.MODE_PSK}


def test_sframe_headers():
    for vector in SFRAME["headers"]:
        header, kid, counter = raw(vector, "header"), number(vector, "kid"), number(vector, "counter")
        assert encode_header(kid, counter) == header
        assert decode_header(header) == (kid, counter, len(header))


@pytest.mark.parametrize("vector", HPKE, ids=lambda v: v["from"])
def test_hpke_seals_and_opens(vector):
    common = {
        "info": raw(vector, "info"),
        "aad": raw(vector, "aad"),
        "psk": raw(vector, "psk"),
        "psk_id": raw(vector, "pskId"),
        "aead": vector["aead"],
    }
    ephemeral = X25519PrivateKey.from_private_bytes(raw(vector, "ephemeralPrivate"))
    enc, sealed = hpke.seal(
        raw(vector, "recipientPublic"), plain=raw(vector, "plaintext"), ephemeral=ephemeral, **common
    )
    assert (enc, sealed) == (raw(vector, "enc"), raw(vector, "ciphertext"))
    key = X25519PrivateKey.from_private_bytes(raw(vector, "recipientPrivate"))
    assert hpke.open_(key, enc, sealed=sealed, **common) == raw(vector, "plaintext")


def test_hpke_key_schedule():
    for vector in HPKE:
        context = hpke.key_schedule(
            raw(vector, "sharedSecret"),
            raw(vector, "info"),
            raw(vector, "psk"),
            raw(vector, "pskId"),
            vector["aead"],
        )
        assert (context.key, context.nonce) == (raw(vector, "key"), raw(vector, "nonce"))


def test_the_formulas_of_the_rfcs_give_every_figure_of_the_frame_vectors():
    for vector in SFRAME["headers"]:
        header = rfc_formulas.frame_header(number(vector, "kid"), number(vector, "counter"))
        assert header == raw(vector, "header")
    for vector in SFRAME["frames"]:
        suite, kid, base_key = vector["suite"], number(vector, "kid"), raw(vector, "baseKey")
        secrets = rfc_formulas.frame_secrets(suite, kid, base_key)
        assert (secrets.key, secrets.salt) == (raw(vector, "key"), raw(vector, "salt"))
        given = number(vector, "counter"), base_key, raw(vector, "metadata"), raw(vector, "plaintext")
        assert rfc_formulas.sealed_frame(suite, kid, *given) == raw(vector, "sealed")


@pytest.mark.parametrize("vector", HPKE, ids=lambda v: v["from"])
def test_the_formulas_of_the_rfcs_give_every_figure_of_the_hpke_vectors(vector):
    names = "ephemeralPrivate", "recipientPublic", "info", "aad", "plaintext", "psk", "pskId"
    sealing = rfc_formulas.hpke_seal(vector["aead"], *(raw(vector, name) for name in names))
    assert sealing == rfc_formulas.Sealing(
        *(raw(vector, name) for name in ("enc", "sharedSecret", "key", "nonce", "ciphertext"))
    )
    assert rfc_formulas.public_key(raw(vector, "recipientPrivate")) == raw(vector, "recipientPublic")


def test_hpke_agrees_with_an_independent_implementation_in_the_cipher_of_the_suite():
    suite = reference.Suite(reference.KEM.X25519, reference.KDF.HKDF_SHA256, reference.AEAD.AES_256_GCM)
    key = X25519PrivateKey.generate()
    enc, sealed = hpke.seal(key.public_key().public_bytes_raw(), b"info", b"", b"plain")
    assert suite.decrypt(enc + sealed, key, b"info") == b"plain"
    theirs = suite.encrypt(b"plain", key.public_key(), b"info")
    assert hpke.open_(key, theirs[:32], b"info", b"", theirs[32:]) == b"plain"


def test_hpke_refuses_keys_of_small_order_and_half_a_psk():
    with pytest.raises(CryptoError, match="X25519"):
        hpke.seal(bytes(32), b"", b"", b"")
    with pytest.raises(CryptoError, match="together"):
        hpke.seal(X25519PrivateKey.generate().public_key().public_bytes_raw(), b"", b"", b"", psk=b"x")
