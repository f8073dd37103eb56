"""What ends, hangs, fails to start or is left behind on the local node."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from callcluster_operator.local.store import Store
from callcluster_operator.objects import DEPLOYMENT, Ref
from kit.eventually import eventually
from kit.local_node import NAMESPACE, Machine, deployment, is_running, running, secret


async def test_a_process_that_ends_is_started_again_and_counted(machine: Machine) -> None:
    await machine.store.apply(deployment())
    pod = await machine.one_ready()
    with pytest.raises(aiohttp.ClientError):
        await machine.ask(pod, "/exit")

    async def again() -> bool:
        now = await machine.one_ready()
        report = now["status"]["containerStatuses"][0]
        return report["restartCount"] == 1 and report["lastState"]["terminated"]["exitCode"] == 3

    await eventually(again)
    assert (await machine.one_ready())["metadata"]["uid"] == pod["metadata"]["uid"]
    assert "told to end" in machine.lines


async def test_what_a_process_leaves_behind_ends_before_it_is_started_again(machine: Machine) -> None:
    await machine.store.apply(deployment())
    pod = await machine.one_ready()
    child = int(await machine.ask(pod, "/child"))
    with pytest.raises(aiohttp.ClientError):
        await machine.ask(pod, "/exit")

    async def again() -> bool:
        return (await machine.one_ready())["status"]["containerStatuses"][0]["restartCount"] == 1

    await eventually(again)
    assert not is_running(child)


async def test_readiness_comes_and_goes_with_the_probe(machine: Machine, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    await machine.store.apply(deployment(env={"READY_FILE": str(ready)}))

    async def runs() -> bool:
        pods = await machine.pods()
        return len(pods) == 1 and pods[0].get("status", {}).get("phase") == "Running"

    await eventually(runs)
    assert not await machine.ready()
    ready.touch()
    await machine.one_ready()
    ready.unlink()

    async def is_unready() -> bool:
        return not await machine.ready()

    await eventually(is_unready)


async def test_a_pod_that_ignores_the_polite_signal_is_killed_with_its_children(machine: Machine) -> None:
    await machine.store.apply(deployment(env={"STUBBORN": "1"}))
    pod = await machine.one_ready()
    child = int(await machine.ask(pod, "/child"))
    assert is_running(child)
    await machine.store.delete(
        Ref(DEPLOYMENT, NAMESPACE, "app"), uid=(await machine.store.list(DEPLOYMENT))[0]["metadata"]["uid"]
    )

    async def gone() -> bool:
        return not await machine.pods() and not is_running(child)

    await eventually(gone, within=45)


async def test_a_variable_that_no_process_can_have_is_told_and_can_be_mended(machine: Machine) -> None:
    await machine.store.apply(deployment(env={"KEY": "a\0b"}))

    async def told() -> bool:
        statuses = [status for pod in await machine.pods() for status in pod["status"]["containerStatuses"]]
        return any("a character that none may have" in str(status["state"]) for status in statuses)

    await eventually(told)
    await machine.store.apply(deployment(env={"KEY": "ab"}))
    assert await machine.one_ready()


async def test_a_missing_program_leaves_the_pod_pending_and_says_so(machine: Machine) -> None:
    machine.programs.missing = True
    await machine.store.apply(deployment())

    async def says() -> bool:
        for pod in await machine.pods():
            for report in pod.get("status", {}).get("containerStatuses", ()):
                waiting = report["state"].get("waiting", {})
                if waiting.get("reason") == "ProgramMissing":
                    return pod["status"]["phase"] == "Pending" and "install it" in waiting["message"]
        return False

    await eventually(says)
    machine.programs.missing = False
    await machine.one_ready()


async def test_a_busy_host_port_leaves_the_pod_pending_until_it_is_free(machine: Machine) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    spec = deployment(hostNetwork=True)["spec"]["template"]["spec"]
    spec["containers"][0]["ports"][0] |= {"containerPort": port, "hostPort": port}
    spec["containers"][0]["env"][0]["value"] = str(port)
    await machine.store.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "single", "namespace": NAMESPACE},
            "spec": spec,
        }
    )

    async def says() -> bool:
        for pod in await machine.pods():
            for report in pod.get("status", {}).get("containerStatuses", ()):
                if report["state"].get("waiting", {}).get("reason") == "PortBusy":
                    return str(port) in report["state"]["waiting"]["message"]
        return False

    await eventually(says)
    server.close()
    await server.wait_closed()
    await machine.one_ready()


async def test_leaving_ends_every_process_and_removes_every_file(tmp_path: Path) -> None:
    machine = Machine(Store(), tmp_path / "run")
    async with running(machine):
        await machine.store.apply(secret("the-key"))
        await machine.store.apply(deployment(env={"STUBBORN": "1"}))
        pod = await machine.one_ready()
        child = int(await machine.ask(pod, "/child"))
    assert not is_running(child)
    assert not machine.directory.exists()


async def test_the_warden_ends_what_a_killed_parent_leaves(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, sys, pathlib\n"
        "from callcluster_operator.local.process import Process, Warden\n"
        "async def main():\n"
        "    directory = pathlib.Path(sys.argv[1])\n"
        "    guard = await Warden.start(directory)\n"
        "    one = await Process.start([sys.executable, '-c', 'import time; time.sleep(600)'], env={},\n"
        "                              cwd=directory, guard=guard, on_line=print)\n"
        "    print(one.pid, flush=True)\n"
        "    await one.wait()\n"
        "asyncio.run(main())\n"
    )
    directory = tmp_path / "run"
    directory.mkdir()
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(directory), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert is_running(pid)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()

    async def gone() -> bool:
        return not is_running(pid) and not directory.exists()

    await eventually(gone)
