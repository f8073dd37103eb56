"""``callcluster up --check``: places calls through what runs here, by the probe, and says how they went."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from callcluster_operator.local.access import jwt_secret, needs_token
from callcluster_operator.local.display import CLUSTER, NOT_READY
from callcluster_operator.local.runtime import Runtime
from callcluster_operator.local.volumes import data_of, project
from callcluster_operator.objects import CALL_CLUSTER, SECRET, Ref
from callcluster_operator.planning import names

READY_SECONDS = 60.0
LOOK_SECONDS = 0.2
SETTLED_SECONDS = 2.0
"""What is said for so long is the reason. A process that lost its port to another one ends first, too."""
FAILED = 1


async def check(runtime: Runtime, write: Callable[[str], None], *, relay: bool) -> int:
    """Place a direct and a relayed call, or only the relayed one; the exit code.

    Where there is no relay the direct call is enough, unless a relayed one is asked for.
    """
    problem = await _wait_for(runtime, names.SIGNALING, "SignalingAvailable")
    if problem:
        write(f"check failed: signaling: {problem}")
        return FAILED
    if not relay and (code := await _probe(runtime, relay=False)):
        write(f"check failed: the direct call ended with code {code}")
        return code
    problem = await _wait_for(runtime, names.TURN, "TURNAvailable")
    if problem and relay:
        write(f"check failed: no relay: {problem}")
        return FAILED
    if problem:
        write(f"check passed: a direct call works; there is no relay: {problem}")
        return 0
    if code := await _probe(runtime, relay=True):
        write(f"check failed: the relayed call ended with code {code}")
        return code
    write("check passed: calls work" if relay else "check passed: calls work, direct and relayed")
    return 0


async def _wait_for(runtime: Runtime, component: str, condition: str) -> str | None:
    """Wait until a component takes sessions; otherwise why it does not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_SECONDS
    before, since = None, loop.time()
    while True:
        found = await runtime.store.list(CALL_CLUSTER)
        conditions = [each for obj in found for each in obj.get("status", {}).get("conditions", ())]
        if any(each["type"] == condition and each["status"] == "True" for each in conditions):
            return None
        standing = await runtime.standing()
        said = standing.get(CLUSTER) or standing.get(component)
        if said != before:
            before, since = said, loop.time()
        # A busy port passes: planning goes round it.
        passes = said is None or said.startswith(("ready", NOT_READY, "port"))
        if not passes and loop.time() - since > SETTLED_SECONDS:
            return said
        if loop.time() > deadline:
            reasons = [each["message"] for each in conditions if each["type"] == condition]
            return said or (reasons[0] if reasons else "nothing is known of it")
        await asyncio.sleep(LOOK_SECONDS)


async def _probe(runtime: Runtime, *, relay: bool) -> int:
    command = [sys.executable, "-m", "callcluster_probe", "--url", f"ws://localhost:{runtime.port}"]
    if relay:
        command.append("--relay")
    if needs_token(runtime.spec.callcluster):
        command += ["--jwt-secret-file", str(await _jwt_secret_file(runtime))]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _jwt_secret_file(runtime: Runtime) -> Path:
    """The key for tokens, where the probe can read it; it goes with the run's directory."""
    name, key = jwt_secret(runtime.spec.callcluster)
    secret = await runtime.store.get(Ref(SECRET, runtime.namespace, name))
    assert secret is not None  # signaling has started with it
    directory = runtime.directory / "check"
    project(directory, {key: data_of(secret)[key]})
    return directory / key
