"""`callcluster up` as its users run it: one command, real processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import jwt
import pytest
from callcluster_common.open_files import ENOUGH
from kit.eventually import eventually
from kit.local_up import ALONE, Up, nothing_is_left, up

EXAMPLE = Path(__file__).parents[3] / "examples" / "local.yaml"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def file(directory: Path) -> Path:
    """The example, to be edited."""
    made = directory / "local.yaml"
    made.write_text(EXAMPLE.read_text())
    return made


@pytest.fixture
async def running(directory: Path, port: int, file: Path) -> AsyncIterator[Up]:
    """Signaling alone, ready."""
    async with up(str(file), *ALONE, port=port, runtime_directory=directory) as started:
        await started.says("#r=")
        yield started


def listening_addresses(pid: int) -> set[str]:
    """Local addresses of the TCP sockets that a process listens on."""
    sockets = {
        link.removeprefix("socket:[").removesuffix("]")
        for link in (str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir())
    }
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and inode in sockets:
                words = bytes.fromhex(local.partition(":")[0])
                # Each group of four bytes is in the order of the machine.
                packed = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
                found.add(socket.inet_ntop(family, packed))
    return found


async def signaling_of(running: Up) -> int:
    """Process id of the one signaling process."""
    (pid,) = (pid for pid, line in running.processes().items() if "callcluster_signaling" in line)
    return pid


async def test_it_says_what_is_ready_and_prints_a_link_that_answers(running: Up) -> None:
    link = (await running.says("#r=")).strip()
    assert re.fullmatch(rf"http://localhost:{running.port}/#r=[\w.~-]+&k=[\w-]{{43}}", link)
    assert f"ready, http://localhost:{running.port}" in await running.says("  signaling")
    assert "(--without redis)" in await running.says("  redis")
    assert "calls work without relay" in await running.says("  turn")
    async with aiohttp.ClientSession() as session, session.get(link) as answer:
        assert answer.status == 200
        assert "<html" in (await answer.text()).lower()


async def test_the_room_secret_is_in_no_file_and_no_environment(running: Up) -> None:
    secret = (await running.says("#r=")).strip().rpartition("&k=")[2]
    for path in running.runtime_directory.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
    for pid in running.processes():
        assert secret.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


async def test_no_secret_stands_on_a_command_line(running: Up) -> None:
    code, token = await running.call("token", "--room", "r1", "--user", "ada")
    assert code == 0
    code, listed = await running.call("get", "cc", "local", "-o", "json")
    assert code == 0
    assert "secret" not in " ".join(running.processes().values()).lower()
    assert token.strip() not in listed


SAYS_WHEN_IT_LOADS = """
import sys

class Watcher:
    def find_spec(self, name, path=None, target=None):
        if name == "callcluster_operator.cli.commands":
            print(flush=True)

sys.meta_path.insert(0, Watcher())
from callcluster_operator.cli import main
main()
"""


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.8])
async def test_ctrl_c_ends_it_quietly_before_it_has_started(
    directory: Path, port: int, file: Path, delay: float
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SAYS_WHEN_IT_LOADS, "up", "--port", str(port), *ALONE, str(file)),
        env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(directory), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    await asyncio.sleep(delay)  # where in its start that is does not matter
    process.send_signal(signal.SIGINT)
    said = (await process.stdout.read()).decode()
    code = await process.wait()
    assert (code, said) == (130, "") or (code == 0 and said.endswith("ends ...\n")), said
    assert nothing_is_left(directory)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("\n  paused: true", "cluster    spec.paused is set"),
        (
            "\n  signaling: {auth: {jwtSecretRef: {name: mine}}}",
            "signaling  there is no Secret mine, which signaling.auth.jwtSecretRef names: make it",
        ),
    ],
    ids=["paused", "secret missing"],
)
async def test_what_only_its_user_can_mend_is_said_in_one_line(
    directory: Path, port: int, file: Path, spec: str, line: str
) -> None:
    head, _, _ = file.read_text().partition("\n  signaling:")
    file.write_text(head + spec)
    async with up(str(file), *ALONE, port=port, runtime_directory=directory) as started:
        assert (await started.says(line)).startswith(f"  {line}")
        assert sum(line in said for said in started.lines) == 1
        code, told = await started.call("get", "cc")
        assert code == 0
        assert await started.end() == 0
    assert "NAME" in told


EMPTY_ROOM = """
---
apiVersion: callcluster.dev/v1alpha1
kind: Room
metadata: {name: quiet-otter-41}
spec: {clusterRef: {name: local}, emptyTimeoutSeconds: 1}
"""


async def test_a_room_that_nobody_joins_ends(directory: Path, port: int, file: Path) -> None:
    file.write_text(file.read_text() + EMPTY_ROOM)
    async with up(str(file), *ALONE, port=port, runtime_directory=directory) as running:
        await running.says("#r=")

        async def is_finished() -> bool:
            _, told = await running.call("get", "room", "quiet-otter-41", "-o", "json")
            conditions = json.loads(told).get("status", {}).get("conditions", ())
            found = {each["type"]: (each["status"], each["reason"]) for each in conditions}
            return found.get("Finished") == ("True", "Empty")

        await eventually(is_finished, within=60, every=0.5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_cleanly_and_leaves_nothing(running: Up, number: signal.Signals) -> None:
    assert running.processes()
    assert await running.end(number) == 0
    assert nothing_is_left(running.runtime_directory)
    assert not list(running.runtime_directory.glob("callcluster-*"))


async def test_killed_hard_it_leaves_nothing_either(running: Up) -> None:
    assert running.processes()
    await running.end(signal.SIGKILL)
    await eventually(lambda: nothing_is_left(running.runtime_directory))


async def test_it_can_be_started_again_at_once(running: Up) -> None:
    await running.end()
    async with up(*ALONE, port=running.port, runtime_directory=running.runtime_directory) as again:
        await again.says("#r=")
        assert await again.end() == 0


async def test_a_process_that_is_killed_is_started_again_and_that_is_said(running: Up) -> None:
    os.kill(await signaling_of(running), signal.SIGKILL)
    await running.says("ready (1 restart)")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://localhost:{running.port}/") as answer,
    ):
        assert answer.status == 200


async def test_a_good_edit_is_taken_over_and_a_bad_one_is_told_and_ignored(running: Up, file: Path) -> None:
    good = file.read_text()
    file.write_text(good.replace("replicas: 1", "replicas: none", 1))
    said = await running.says("the last good version stays in force")
    assert re.search(r"local\.yaml:\d+: spec\.signaling\.replicas: ", said)
    file.write_text(good.replace("replicas: 1", "replicas: 2", 1))
    await running.says("was edited and is in force")
    await running.says("ready, 2 pods")
    file.write_text(good)
    await running.says(f"ready, http://localhost:{running.port}", after=len(running.lines))


async def test_rooms_come_and_go_with_the_file(running: Up, file: Path) -> None:
    good = file.read_text()
    room = "apiVersion: callcluster.dev/v1alpha1\nkind: Room\nmetadata: {name: stand-up}\n"
    file.write_text(good + "---\n" + room + "spec: {clusterRef: {name: local}}\n")

    async def listed() -> str | None:
        code, output = await running.call("get", "rooms")
        assert code == 0
        return output if "stand-up" in output else None

    output = await eventually(listed)
    assert output is not None
    assert output.splitlines()[0].split() == ["NAME", "READY", "REASON", "PARTICIPANTS", "AGE"]
    file.write_text(good)

    async def gone() -> bool:
        return "stand-up" not in (await running.call("get", "rooms"))[1]

    await eventually(gone)


async def test_a_room_of_a_callcluster_that_is_not_there_says_so(running: Up, file: Path) -> None:
    room = "apiVersion: callcluster.dev/v1alpha1\nkind: Room\nmetadata: {name: lost}\n"
    file.write_text(file.read_text() + "---\n" + room + "spec: {clusterRef: {name: other}}\n")

    async def says_so() -> bool:
        return "ClusterNotFound" in (await running.call("get", "rooms"))[1]

    await eventually(says_so)


async def test_get_shows_the_status_that_a_cluster_would_have(running: Up) -> None:
    async def available() -> str | None:
        code, output = await running.call("get", "callclusters", "local", "-o", "yaml")
        assert code == 0
        return output if "type: SignalingAvailable\n      status: 'True'" in output else None

    async def described() -> bool:
        code, output = await running.call("get", "callclusters", "local", "-o", "json")
        assert code == 0
        return '"SignalingAvailable"' in output

    await eventually(described)
    code, output = await running.call("get", "pods")
    assert code == 0
    assert "local-signaling-" in output
    code, output = await running.call("get", "rooms", "absent")
    assert (code, output) == (1, "Error: there is no rooms absent; look at: callcluster get rooms\n")


async def test_a_token_of_the_running_instance_is_signed_with_its_secret(running: Up) -> None:
    code, token = await running.call("token", "--room", "r1", "--user", "ada", "--ttl", "60")
    assert code == 0
    claims = jwt.decode(token.strip(), options={"verify_signature": False})
    assert (claims["sub"], claims["room"], claims["aud"]) == ("ada", "r1", "callcluster")
    assert claims["exp"] - claims["iat"] == 60


async def test_a_file_that_becomes_a_directory_is_no_edit(running: Up, file: Path) -> None:
    good = file.read_text()
    file.unlink()
    file.mkdir()
    file.rmdir()
    file.write_text(good.replace("replicas: 1", "replicas: 2", 1))
    await running.says("was edited and is in force")


async def test_the_usual_limit_of_open_files_is_raised_for_all_processes(
    directory: Path, port: int, file: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        async with up(str(file), *ALONE, port=port, runtime_directory=directory) as running:
            await running.says("#r=")
            for pid in (running.process.pid, await signaling_of(running)):
                assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] == min(hard, ENOUGH)
            assert await running.end() == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_only_this_machine_reaches_it(running: Up) -> None:
    for pid in running.processes():
        for address in listening_addresses(pid):
            assert address in ("127.0.0.1", "::1")


async def test_a_short_secret_of_the_users_own_is_said_and_a_longer_one_mends_it(
    directory: Path, port: int, file: Path
) -> None:
    reference = "    auth:\n      jwtSecretRef: {name: own}"
    body = file.read_text().replace("    auth:", reference, 1)
    secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: own}\nstringData: {secret: %s}\n"
    file.write_text(body + secret % "short")
    async with up(str(file), *ALONE, port=port, runtime_directory=directory) as started:
        said = await started.says("  signaling")
        assert "at least 32 bytes" in said
        file.write_text(body + secret % ("x" * 32))
        await started.says("#r=")
        assert await started.end() == 0


async def test_without_coturn_on_the_path_calls_work_without_relay(directory: Path, port: int) -> None:
    programs = directory / "bin"
    programs.mkdir()
    async with up(port=port, runtime_directory=directory, path=str(programs)) as started:
        said = await started.says("  turn")
        assert "coturn is not installed" in said
        assert "calls work without relay" in said
        assert "redis-server is not installed" in await started.says("  redis")
        await started.says("#r=")
        assert await started.end() == 0
    assert nothing_is_left(directory)
