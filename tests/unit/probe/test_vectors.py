"""The code against the vectors of the RFCs, which the browser's code runs against too."""

import json
from pathlib import Path

import pytest
from callcluster_probe.e2ee import hpke
from callcluster_probe.e2ee.encode import CryptoError
from callcluster_probe.e2ee.sframe import SUITE, FrameKey, decode_header, encode_header
from cryptography.hazmat.primitives import hpke as reference
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

VECTORS = Path(__file__).parents[2] / "vectors"
SFRAME = json.loads((VECTORS / "sframe-rfc9605.json").read_text())
HPKE = json.loads((VECTORS / "hpke-rfc9180.json").read_text())["messages"]
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
    sealed = key.seal(number(vector, "ctr"), raw(vector, "metadata"), raw(vector, "plaintext"))
    assert sealed == raw(vector, "frame")
    assert key.open(raw(vector, "metadata"), sealed) == (number(vector, "ctr"), raw(vector, "plaintext"))


def test_there_is_a_frame_vector_of_the_suite_in_use():
    assert FRAMES


def test_sframe_headers():
    for vector in SFRAME["headers"]:
        header, kid, counter = raw(vector, "header"), number(vector, "kid"), number(vector, "ctr")
        assert encode_header(kid, counter) == header
        assert decode_header(header) == (kid, counter, len(header))


@pytest.mark.parametrize("vector", HPKE, ids=lambda v: f"mode-{v['mode']}")
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
