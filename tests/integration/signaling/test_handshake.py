"""Before hello: HTTP, origins, tokens."""

import json
import os
import resource
import secrets
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from callcluster_common.open_files import ENOUGH
from callcluster_signaling.settings import DEFAULT_WEB_ROOT
from kit.sig_client import SigClient, token
from kit.signaling_server import SignalingProcess, signaling
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignalingProcess]:
    """A server that takes one origin, and serves a page."""
    web = tmp_path_factory.mktemp("web")
    (web / "app").mkdir()
    (web / "app" / "index.html").write_text("<!doctype html><title>call</title>")
    with signaling(CORS_ORIGINS="https://calls.example", WEB_ROOT=str(web)) as server:
        yield server


def _get(server: SignalingProcess, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_a_plain_get_answers_with_the_page(strict: SignalingProcess) -> None:
    status, headers, body = _get(strict, "/")
    assert (status, body) == (200, b"<!doctype html><title>call</title>")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert _get(strict, "/app/../../../etc/passwd")[0] == 404
    assert _get(strict, "/", "HEAD")[0] == 200
    assert _get(strict, "/", "POST")[0] == 405


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("/", "https://evil.example", 403),
        ("/", "null", 403),
        ("/ws?token=abc", "https://calls.example", 400),
        ("/?access_token=abc", "https://calls.example", 400),
        ("/?x=" + token(), "https://calls.example", 400),
        ("/elsewhere", "https://calls.example", 404),
    ],
)
async def test_handshakes_that_are_refused_never_become_sockets(
    strict: SignalingProcess, path: str, origin: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(strict.url + path, subprotocols=["sig.v1"], origin=origin)  # type: ignore[list-item,arg-type]
    assert refused.value.response.status_code == status


@pytest.mark.parametrize("name", ["If-None-Match", "Upgrade", "Origin"])
def test_a_header_that_is_there_twice_is_the_clients_mistake(strict: SignalingProcess, name: str) -> None:
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n" if name == "Origin" else ""
    with socket.create_connection(("127.0.0.1", strict.port), timeout=60) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\n{upgrade}{name}: a\r\n{name}: b\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_it_listens_where_it_is_told_to() -> None:
    with signaling(LISTEN_HOST="127.0.0.1") as server:
        assert _get(server, "/nothing")[0] == 404
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", server.port), timeout=60)


def test_the_usual_limit_of_open_files_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        with signaling() as server:
            assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[0] == min(hard, ENOUGH)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_credentials_in_the_url_of_the_page_are_refused_and_never_logged() -> None:
    planted = token()
    with signaling(LOG_LEVEL="debug") as server:
        assert _get(server, f"/?jwt={planted}")[0] == 400
        assert _get(server, f"/ws?q={planted}")[0] == 400
        assert planted not in server.text


async def test_another_version_of_the_protocol_gets_a_close_code_that_its_page_can_see(
    strict: SignalingProcess,
) -> None:
    async with connect(strict.url, subprotocols=["sig.v9"]) as ws:  # type: ignore[list-item]
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        assert ws.close_code == 4505


async def test_the_subprotocol_must_be_offered(strict: SignalingProcess) -> None:
    for offers in (None, ["chat"]):
        with pytest.raises(InvalidStatus) as refused:
            await connect(strict.url, subprotocols=offers)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 400


@pytest.mark.parametrize("path", ["/", "/ws"])
async def test_the_right_origin_and_programs_come_in(strict: SignalingProcess, path: str) -> None:
    for origin in ("https://calls.example", None):
        client = await SigClient.hello(strict.url + path, origin=origin)
        assert client.ws.subprotocol == "sig.v1"


async def test_a_token_may_come_as_a_second_subprotocol_and_is_not_chosen(strict: SignalingProcess) -> None:
    async with connect(strict.url, subprotocols=["sig.v1", f"bearer.{token()}"], compression=None) as ws:  # type: ignore[list-item]
        assert ws.subprotocol == "sig.v1"
        assert json.loads(await ws.recv())["t"] == "welcome"
        await ws.send(json.dumps({"t": "hello", "id": "1", "d": {"cid": "c" * 16}}))
        assert json.loads(await ws.recv())["t"] == "hello.ok"


async def test_compression_is_never_agreed_on(strict: SignalingProcess) -> None:
    async with connect(strict.url, subprotocols=["sig.v1"], compression="deflate") as ws:  # type: ignore[list-item]
        assert ws.protocol.extensions == []


@pytest.mark.parametrize(
    ("bearer", "code"),
    [
        (None, 4500),
        ("rubbish", 4500),
        (token(secret="another-secret-of-sufficient-length-000"), 4500),
        (token(aud="elsewhere"), 4500),
        (token(exp=None), 4500),
        (token(ttl=-60), 4501),
    ],
)
async def test_bad_tokens_close_with_their_code(
    strict: SignalingProcess, bearer: str | None, code: int
) -> None:
    client = await SigClient.connect(strict.url)
    with pytest.raises(ConnectionError):
        await client.say_hello(bearer)
    assert await client.closes() == code


async def test_a_token_that_runs_out_ends_its_session(strict: SignalingProcess) -> None:
    room = f"room-{secrets.token_hex(4)}"
    witness = await SigClient.member(strict.url, room)
    short = await SigClient.member(strict.url, room, token(room, ttl=-7))
    assert await short.closes() == 4501
    assert (await witness.event("left", short.sid))["d"]["reason"] == "left"


async def test_a_refreshed_token_keeps_its_session(strict: SignalingProcess) -> None:
    room = f"room-{secrets.token_hex(4)}"
    client = await SigClient.member(strict.url, room, token(room, sub="alice", ttl=-7))
    await client.request("token.refresh", {"token": token(room, sub="alice")})
    other = await SigClient.member(strict.url, room, token(room, ttl=-7))
    assert await other.closes() == 4501
    await client.request("ping", {"ts": 1})


async def test_guests_come_in_only_where_they_are_let() -> None:
    with signaling(GUEST_ACCESS="true") as server:
        client = await SigClient.connect(server.url)
        reply = await client.say_hello(None)
        assert "exp" not in reply["d"]
        joined = await client.join("any-room")
        assert not joined["d"]["grants"]["mod"]
        await client.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"JWT_SECRET": ""}, "JWT_SECRET is required"),
        ({"JWT_SECRET": "short"}, "JWT_SECRET must have at least 32 bytes"),
        ({"REDIS_URL": "http://x"}, "REDIS_URL must begin with"),
        ({"PORT": "-1"}, "PORT must be"),
        ({"LISTEN_HOST": "localhost"}, "LISTEN_HOST must be an IPv4 address"),
    ],
)
def test_settings_that_cant_be_used_end_the_process_with_one_line(
    settings: dict[str, str], words: str
) -> None:
    server = _ends(settings)
    assert server.process.returncode == 2
    assert len(server.log) == 1
    assert words in server.log[0]


def test_a_busy_port_ends_the_process_with_one_line(strict: SignalingProcess) -> None:
    for name, port in (("PORT", strict.port), ("CONTROL_PORT", strict.control)):
        server = _ends({name: str(port)})
        assert server.process.returncode == 2
        (line,) = [line for line in server.log if not line.startswith("{")]
        assert name in line
        assert str(port) in line


def _ends(settings: dict[str, str]) -> SignalingProcess:
    """Start a server that is to end by itself."""
    server = SignalingProcess(
        {
            "PATH": os.environ["PATH"],
            "PORT": "0",
            "CONTROL_PORT": "0",
            "CONTROL_HOST": "127.0.0.1",
            "REDIS_URL": "memory://",
            "JWT_SECRET": "x" * 40,
            **settings,
        }
    )
    try:
        server.ended()
    finally:
        server.close()
    return server


def test_the_page_of_the_image_is_found_beside_the_package() -> None:
    root = Path(__file__).resolve().parents[3] / "images" / "signaling" / "web"
    assert root == DEFAULT_WEB_ROOT
