"""A Redis of somebody else's: TLS, a password, and a user that may do what is needed and no more."""

import datetime
import ipaddress
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kit.ports import free_port
from kit.redis_server import RedisServer
from kit.sig_client import SigClient
from kit.signaling_server import signaling

pytestmark = pytest.mark.redis
RULES = "+@all -@dangerous -@admin"


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis of a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "redis.crt", tmp_path / "redis.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@pytest.fixture
def guarded(certificate: tuple[Path, Path]) -> Iterator[tuple[RedisServer, int]]:
    """A server with a TLS port, and a user for signaling."""
    tls = free_port()
    server = RedisServer(
        "--tls-port",
        str(tls),
        "--tls-cert-file",
        str(certificate[0]),
        "--tls-key-file",
        str(certificate[1]),
        "--tls-auth-clients",
        "no",
    )
    server.start()
    server.call("ACL", "SETUSER", "signaling", "on", ">p@ss/word", "~sig:*", "&sig:*", *RULES.split())
    yield server, tls
    server.close()


async def test_a_call_over_tls_with_a_user_of_few_rights(
    guarded: tuple[RedisServer, int], certificate: tuple[Path, Path]
) -> None:
    url = f"rediss://signaling:p%40ss%2Fword@localhost:{guarded[1]}?ssl_ca_certs={certificate[0]}"
    room = f"room-{secrets.token_hex(4)}"
    with signaling(url) as one, signaling(url) as two:
        a = await SigClient.member(one.url, room)
        b = await SigClient.member(two.url, room)
        await a.event("joined", b.sid)
        await a.request("offer", {"sdp": "v=0"}, to={"sid": b.sid})
        await b.expect(lambda frame: frame["t"] == "offer")
        await a.request("key.send", {"entries": [{"to": b.sid, "body": "sealed"}]})
        await b.expect(lambda frame: frame["t"] == "key.deliver")
        back = await b.resume_on(one.url)
        assert back.resumed["recovered"]
        await back.request("bye")
        await a.event("left", b.sid)
        assert "Redis refused" not in one.text + two.text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rediss://signaling:p%40ss%2Fword@localhost:{tls}", "certificate"),
        ("redis://signaling:hunter2@localhost:{plain}", "WRONGPASS"),
    ],
)
async def test_a_redis_that_cant_be_trusted_or_does_not_trust_is_told_and_not_used(
    guarded: tuple[RedisServer, int], url: str, words: str
) -> None:
    with signaling(url.format(tls=guarded[1], plain=guarded[0].port)) as server:
        assert server.get("/readyz")[0] == 503
        assert words in server.text
        assert "hunter2" not in server.text
        assert "Traceback" not in server.text
