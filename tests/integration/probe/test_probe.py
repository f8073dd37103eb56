"""The probe through a real signaling server, and the lines that it fails with."""

import asyncio
import json
import signal
import ssl
import sys
from contextlib import asynccontextmanager, suppress

import pytest
from kit.eventually import eventually
from kit.signaling_server import SECRET
from kit.signaling_server import signaling as start_signaling
from kit.turn_certificates import self_signed


async def run_probe(*arguments):
    """The command line: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "callcluster_probe", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_call_works_and_says_so_in_json(signaling):
    code, out, err = await run_probe("--url", signaling.url, "--duration", "1", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["ok"]
    assert report["route"] == "direct"
    assert "turn" not in report
    for member in report["members"]:
        assert member["opened"] > 30
        assert member["opened"] + member["early"] == member["received"]
        assert member["video_matched"] == member["video_decoded"] > 0
        assert member["audio_matched"] > 0
        assert member["local_candidate"] == member["remote_candidate"] == "host"
        assert member["join_to_first_frame_ms"] > 0
    stranger = report["stranger"]
    assert stranger["received"] >= 20
    assert stranger["opened"] == stranger["trusted_by"] == stranger["given_away"] == 0


async def test_a_call_works_and_says_so_in_words(signaling):
    code, out, _ = await run_probe("--url", signaling.url, "--duration", "0.5")
    assert code == 0
    assert out.startswith("The call works: direct")
    assert "wrong secret" in out


async def test_tokens_are_made_with_the_servers_secret(tmp_path):
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    with start_signaling() as server:
        common = ("--url", server.url, "--duration", "0.5")
        code, _, err = await run_probe(*common, "--jwt-secret-file", str(tmp_path / "secret"))
        assert (code, err) == (0, "")
        code, _, err = await run_probe(*common)
        assert code == 1
        assert err.strip().endswith("the server wants a token and none was given")
        code, _, err = await run_probe(*common, "--token", "x.y.z")
        assert code == 1
        assert err.strip().endswith("the server refused the token")


async def test_without_a_server_the_probe_fails_at_once_and_says_why(unused_port):
    url = f"ws://localhost:{unused_port}"
    code, _, err = await run_probe("--url", url, "--timeout", "3600")
    assert code == 1
    assert err == f"The call failed: signaling at {url}: connection refused\n"
    code, out, err = await run_probe("--url", url, "--timeout", "3600", "--json")
    assert (code, err) == (1, "")
    assert json.loads(out)["error"] == f"signaling at {url}: connection refused"


@asynccontextmanager
async def answering(answer, **options):
    """A server that is no signaling server; its address."""

    async def serve(reader, writer):
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **options)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_server_that_is_not_ready_fails_the_probe_with_its_status():
    async with answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n") as address:
        code, _, err = await run_probe("--url", f"ws://{address}", "--timeout", "3600")
    assert code == 1
    assert err == f"The call failed: signaling at ws://{address}: it answered HTTP 503\n"


async def test_a_certificate_that_nobody_vouches_for_fails_the_probe(tmp_path):
    pem = tmp_path / "server.pem"
    pem.write_bytes(b"".join(self_signed("localhost")))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    async with answering(b"", ssl=context) as address:
        code, _, err = await run_probe("--url", f"wss://{address}", "--timeout", "3600")
    assert code == 1
    assert err.startswith(
        f"The call failed: signaling at wss://{address}: its certificate is not trusted: "
    )
    assert len(err.splitlines()) == 1


@pytest.mark.timeout(150)
async def test_an_interrupted_probe_ends_quietly(signaling):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "callcluster_probe", "--url", signaling.url, "--duration", "600"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await eventually(lambda: signaling.metric("sig_participants") == 3, within=100)
    process.send_signal(signal.SIGINT)
    assert await process.communicate() == (b"", b"")
    assert process.returncode == 130


async def test_relay_wanted_where_there_is_no_turn_server(signaling):
    code, out, _ = await run_probe("--url", signaling.url, "--relay", "--json")
    assert code == 1
    assert json.loads(out)["error"] == "relay wanted but the server offers no TURN server"
    code, _, err = await run_probe("--url", signaling.url, "--relay", "--turn-transport", "tls")
    assert code == 1
    assert err == "The call failed: relay wanted but the server offers no TURN server over tls\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--url", "http://localhost"], "must be a ws:// or wss:// address"),
        (["--url", "ws://[::1"], "must be a ws:// or wss:// address"),
        (["--url", "ws://localhost:99999"], "must be a ws:// or wss:// address"),
        (["--url", "ws://name:password@localhost"], "without user name"),
        (["--url", "ws://localhost/?token=x"], "without user name, query"),
        (["--room", "a b"], "--room may have"),
        (["--secret", "short"], "--secret must be 32 bytes"),
        (["--duration", "0"], "above 0"),
        (["--duration", "nan"], "above 0"),
        (["--timeout", "soon"], "above 0"),
        (["--timeout", "1"], "longer than --duration"),
        (["--turn-transport", "udp"], "needs --relay"),
        (["--jwt-secret-file", "/nowhere"], "can't be read: No such file"),
        (["--jwt-secret-file", "/dev/null"], "at least 32 bytes"),
        (["--token", "x", "--jwt-secret-file", "/dev/null"], "not allowed with"),
    ],
)
async def test_wrong_arguments_exit_with_two_and_one_line(arguments, why):
    code, out, err = await run_probe(*arguments)
    assert (code, out) == (2, "")
    assert why in err.splitlines()[-1]
