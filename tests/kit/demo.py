"""The whole product on this machine: `callcluster up` with real signaling, coturn, Redis, on free ports."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import yaml

from kit.local_up import Up, up
from kit.ports import free_block, free_port, free_turn_port

Spec = dict[str, Any]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "local.yaml"


class Demo:
    """A running deployment."""

    def __init__(self, running: Up, link: str) -> None:
        self.up = running
        self.link = link

    @property
    def port(self) -> int:
        """Of the page and the WebSocket."""
        return self.up.port

    @property
    def url(self) -> str:
        """Of the WebSocket."""
        return f"ws://localhost:{self.port}"

    def pid(self, program: str) -> int:
        """Process id of the deployment's one process whose command line contains ``program``."""
        found = [pid for pid, line in self.up.processes().items() if program in line]
        assert len(found) == 1, f"{program}: {self.up.processes()}"
        return found[0]

    def redis_url(self) -> str:
        """Of the bus, from the signaling process's environment."""
        lines = Path(f"/proc/{self.pid('callcluster_signaling')}/environ").read_bytes().split(b"\0")
        return next(line for line in lines if line.startswith(b"REDIS_URL=")).decode().partition("=")[2]

    def kill(self, program: str) -> int:
        """End a process as a crash would, and return what its id was."""
        pid = self.pid(program)
        os.kill(pid, signal.SIGKILL)
        return pid

    async def status(self) -> Spec:
        """Status of the one CallCluster."""
        code, text = await self.up.call("get", "callclusters", "-o", "yaml")
        assert code == 0, text
        obj = yaml.safe_load(text)
        return dict(obj["items"][0]["status"] if "items" in obj else obj["status"])


@contextlib.asynccontextmanager
async def demo(*arguments: str, **spec: Any) -> AsyncIterator[Demo]:
    """Run examples/local.yaml, with ``spec`` merged over its CallCluster's, until signaling takes calls."""
    objects = list(yaml.safe_load_all(EXAMPLE.read_text()))
    low, high = free_block(500)
    ports = {
        "turn": {"relayPortRange": {"min": low, "max": high - 100}, "portsPerReplica": 200},
        "sfu": {"portRange": {"min": high - 99, "max": high}},
    }
    merge(objects[0]["spec"], ports)
    merge(objects[0]["spec"], spec)
    with tempfile.TemporaryDirectory(prefix="cc-") as made:  # a short path: it will hold sockets
        directory = Path(made)
        file = directory / "demo.yaml"
        file.write_text(yaml.safe_dump_all(objects))
        turn_port = str(free_turn_port())
        async with contextlib.AsyncExitStack() as stack:
            with _starting_alone():
                running = await stack.enter_async_context(
                    up(
                        *("--turn-port", turn_port, *arguments, str(file)),
                        port=free_port(),
                        runtime_directory=directory,
                    )
                )
                line = await running.says("#r=", within=40)
                await running.says("turn       ready", within=60)
            yield Demo(running, next(word for word in line.split() if "#r=" in word))
            await running.end()


@contextlib.contextmanager
def _starting_alone() -> Iterator[None]:
    """One start at a time on this machine: all demos look for their control ports in the same place."""
    with (Path(tempfile.gettempdir()) / "callcluster-test-demo.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def merge(base: Spec, over: Spec) -> None:
    """Lay ``over`` on ``base``, in place."""
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = copy.deepcopy(value)
