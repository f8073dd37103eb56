"""``callcluster up --check``: places calls through what runs here, by the probe, and says how they went."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from callcluster_operator.api import conditions
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
CALL_SECONDS = 60
"""After which a call has failed; a machine that has just started all this is slow."""
GROUP = 3
"""The fewest members that make a call for the SFU."""
FAILED = 1


async def check(runtime: Runtime, write: Callable[[str], None], *, relay: bool) -> int:
    """Place a direct call, a relayed one, and one through the SFU, or only the relayed one; the exit code.

    Where there is no relay or no SFU the others are enough, unless only the relayed one is asked for.
    """
    problem = await _wait_for(runtime, names.SIGNALING, conditions.SIGNALING_AVAILABLE)
    if problem:
        write(f"check failed: signaling: {problem}")
        return FAILED
    if not relay and (code := await _probe(runtime)):
        write(f"check failed: the direct call ended with code {code}")
        return code
    no_relay = await _wait_for(runtime, names.TURN, conditions.TURN_AVAILABLE)
    if no_relay and relay:
        write(f"check failed: no relay: {no_relay}")
        return FAILED
    if not no_relay and (code := await _probe(runtime, "--relay")):
        write(f"check failed: the relayed call ended with code {code}")
        return code
    if relay:
        write("check passed: calls work")
        return 0
    no_sfu = await _wait_for(runtime, names.SFU, conditions.SFU_CAPACITY_AVAILABLE)
    if not no_sfu and (code := await _probe(runtime, "--members", str(GROUP))):
        write(f"check failed: the group call ended with code {code}")
        return code
    write(f"check passed: {_what_works(no_relay, no_sfu)}")
    return 0


def _what_works(no_relay: str | None, no_sfu: str | None) -> str:
    """In words, with the reasons for what was not tried."""
    works = "a direct call works" if no_relay else "calls work, direct and relayed"
    if not no_sfu:
        works += ", in groups too"
    if no_relay:
        works += f"; there is no relay: {no_relay}"
    return works + (f"; there is no SFU: {no_sfu}" if no_sfu else "")


async def _wait_for(runtime: Runtime, component: str, condition: str) -> str | None:
    """Wait until a component takes sessions; otherwise why it does not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + READY_SECONDS
    before, since = None, loop.time()
    while True:
        found = await runtime.store.list(CALL_CLUSTER)
        all_said = [each for obj in found for each in obj.get("status", {}).get("conditions", ())]
        told = [each for each in all_said if each["type"] == condition]
        if any(each["status"] == "True" for each in told):
            return None
        if any(each["reason"] == "NotRequested" for each in told):
            return str(told[0]["message"])
        standing = await runtime.standing()
        said = standing.get(CLUSTER) or standing.get(component)
        if said != before:
            before, since = said, loop.time()
        # A busy port passes: planning goes round it.
        passes = said is None or said.startswith(("ready", NOT_READY, "port"))
        if not passes and loop.time() - since > SETTLED_SECONDS:
            return said
        if loop.time() > deadline:
            return said or (told[0]["message"] if told else "nothing is known of it")
        await asyncio.sleep(LOOK_SECONDS)


async def _probe(runtime: Runtime, *arguments: str) -> int:
    command = [sys.executable, "-m", "callcluster_probe", "--url", f"ws://localhost:{runtime.port}"]
    command += ["--timeout", str(CALL_SECONDS), *arguments]
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
