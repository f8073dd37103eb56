"""The control port on the host network: strangers learn that the server lives, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from callcluster_operator.objects import POD
from kit.eventually import eventually
from kit.plan_executor import World
from kit.plan_objects import callcluster as planned
from kit.turn_agent import MakeAgent


def probe_of_a_planned_pod() -> dict[str, Any]:
    world = World()
    world.put(planned("cc"))
    world.settle("cc")
    (pod,) = world.turn_pods()
    assert pod["kind"] == POD.kind
    probe: dict[str, Any] = pod["spec"]["containers"][0]["readinessProbe"]
    return probe


async def test_a_stranger_learns_only_that_the_server_lives(make_agent: MakeAgent) -> None:
    async with make_agent() as running:
        await running.ready()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{running.control_port}") as stranger:
            async with stranger.get("/healthz") as answer:
                assert (answer.status, await answer.text()) == (200, "ok\n")
            for path in ("/readyz", "/metrics", "/report"):
                async with stranger.get(path) as answer:
                    assert answer.status == 401, path
        assert "callcluster_turn_ready 1.0" in await running.metrics_text()


async def test_the_probe_of_its_pod_follows_its_readiness(make_agent: MakeAgent) -> None:
    *command, path = probe_of_a_planned_pod()["exec"]["command"]

    async with make_agent() as running:

        async def probe() -> tuple[int | None, str]:
            here = path.replace("/run/turn", str(running.state))
            process = await asyncio.create_subprocess_exec(
                *command, here, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
            return process.returncode, output.decode().strip()

        async def succeeds() -> bool:
            return await probe() == (0, "ok")

        async def fails_with_a_reason() -> bool:
            code, said = await probe()
            return code == 1 and "coturn" in said

        assert (await probe())[0] != 0, "nothing is ready at the start"
        await eventually(succeeds)
        running.kill_coturn()
        await eventually(fails_with_a_reason)
        await eventually(succeeds)
