"""The probe through a real signaling server, and the lines that it fails with."""

import asyncio
import json
import sys

import pytest
from kit.signaling_server import SECRET
from kit.signaling_server import signaling as start_signaling


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
        assert member["opened"] == member["received"] > 30
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


async def test_without_a_server_the_probe_ends_in_time_and_says_why(unused_port):
    code, _, err = await run_probe(
        "--url", f"ws://127.0.0.1:{unused_port}", "--duration", "1", "--timeout", "2"
    )
    assert code == 1
    assert err.strip() == "The call failed: after 2 s: the members could not join (connection refused)"


async def test_relay_wanted_where_there_is_no_turn_server(signaling):
    code, out, _ = await run_probe("--url", signaling.url, "--relay", "--json")
    assert code == 1
    assert json.loads(out)["error"] == "relay wanted but the server offers no TURN server"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--url", "http://localhost"], "must be a ws:// or wss:// address"),
        (["--room", "a b"], "--room may have"),
        (["--secret", "short"], "--secret must be 32 bytes"),
        (["--duration", "0"], "above 0"),
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
