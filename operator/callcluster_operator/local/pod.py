"""Runs one pod: prepares its volumes, starts its process, asks its probes, restarts it."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from callcluster_operator.local import probes
from callcluster_operator.local.container import Places, command, mounts_of, only_container
from callcluster_operator.local.ports import PortBusyError, require_free
from callcluster_operator.local.process import Process, StartError, Warden
from callcluster_operator.local.programs import ProgramMissingError, Programs
from callcluster_operator.local.volumes import (
    Lookup,
    NotReadyError,
    UnsupportedError,
    files_of,
    is_scratch,
    project,
)
from callcluster_operator.objects import Object

log = logging.getLogger(__name__)

BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_LAST_SECONDS = 10.0
STEADY_SECONDS = 30.0
"""A process that ran this long starts its back-off anew."""
PROBE_SECONDS = 0.2
"""Time between probes until the pod is ready; afterwards it is at most a second."""
START_SECONDS = 10.0
"""A process that is not ready after this time has a problem and is not merely starting."""
RETRY_SECONDS = 2.0
"""How often to look again for a port or a program that somebody else must provide."""


CREATING = "ContainerCreating"
STARTING = "Starting"
UNREADY = "ContainersNotReady"
TERMINATING = "Terminating"


@dataclass(frozen=True)
class PodState:
    """How a pod is."""

    running: bool = False
    ready: bool = False
    restarts: int = 0
    reason: str = CREATING
    """Why it does not run, or is not ready."""
    message: str = ""
    exit_code: int | None = None
    """Of the last process that ended."""

    @property
    def port_lost(self) -> bool:
        """It can't start, since another program holds one of its ports."""
        return self.reason == PortBusyError.reason


@dataclass(frozen=True)
class Surroundings:
    """What all pods of a node share."""

    programs: Programs
    guard: Warden
    session: aiohttp.ClientSession
    base_env: Mapping[str, str]
    addresses: Mapping[str, str]
    lookup: Lookup
    on_line: Callable[[Object, str], None]


class PodRunner:
    """Keeps one pod's process running until :meth:`stop`."""

    def __init__(
        self, pod: Object, directory: Path, surroundings: Surroundings, on_change: Callable[[], None]
    ) -> None:
        self.state = PodState()
        self._pod = pod
        self._directory = directory
        self._around = surroundings
        self._on_change = on_change
        self._changed = asyncio.Event()
        self._process: Process | None = None
        self._last_lines: deque[str] = deque(maxlen=3)
        self._task = asyncio.create_task(self._run())

    def update(self, pod: Object) -> None:
        """The pod, or a Secret or ConfigMap that it may mount, has changed."""
        self._pod = pod
        self._changed.set()
        if self._process is not None:
            try:
                self._project()
            except (NotReadyError, UnsupportedError):
                pass  # what was mounted stays, as under a kubelet whose Secret has gone
            except OSError as error:
                log.warning("%s can't get its files: %s", pod["metadata"]["name"], error.strerror)

    async def stop(self, grace: float | None = None) -> None:
        """End the pod within ``grace`` seconds, or its own grace period; nothing of it is left then."""
        if grace is None:
            grace = float(self._pod["spec"].get("terminationGracePeriodSeconds", 30))
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._process is not None:
            self._set(ready=False, reason=TERMINATING)
            await self._process.stop(grace)
        shutil.rmtree(self._directory, ignore_errors=True)
        self._set(running=False, ready=False, reason=TERMINATING)

    def _set(self, **changes: Any) -> None:
        state = replace(self.state, **changes)
        if state != self.state:
            self.state = state
            self._on_change()

    async def _run(self) -> None:
        backoff = BACKOFF_FIRST_SECONDS
        while True:
            self._changed.clear()
            try:
                process = await self._start()
            except NotReadyError as error:
                self._set(reason=CREATING, message=str(error))
                await self._changed.wait()
                continue
            except (PortBusyError, ProgramMissingError) as error:
                self._set(reason=type(error).reason, message=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except (UnsupportedError, StartError) as error:
                self._set(reason="RunContainerError", message=str(error))
                await self._changed.wait()
                continue
            except OSError as error:
                self._set(reason="RunContainerError", message=f"can't write its files: {error.strerror}")
                await asyncio.sleep(RETRY_SECONDS)
                continue
            began = time.monotonic()
            code = await self._attend(process)
            self._process = None
            if time.monotonic() - began > STEADY_SECONDS:
                backoff = BACKOFF_FIRST_SECONDS
            self._set(
                running=False,
                ready=False,
                restarts=self.state.restarts + 1,
                reason="CrashLoopBackOff",
                message=self._how_it_ended(code),
                exit_code=code,
            )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, BACKOFF_LAST_SECONDS)

    def _how_it_ended(self, code: int) -> str:
        said = f": {self._last_lines[-1]}" if self._last_lines else ""
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return how + said

    async def _start(self) -> Process:
        program = self._around.programs.program(self._pod)
        container = only_container(self._pod)
        require_free(container.get("ports", ()))
        self._project()
        what = command(
            self._pod,
            program,
            base={**self._around.base_env, "HOME": str(self._directory), "TMPDIR": str(self._directory)},
            places=Places(mounts_of(self._pod, self._directory), self._around.addresses),
            lookup=self._around.lookup,
        )
        self._last_lines.clear()
        process = await Process.start(
            self._around.programs.arranged(self._pod, what.argv, self._directory),
            env=what.env,
            cwd=self._directory,
            guard=self._around.guard,
            on_line=self._on_line,
        )
        self._process = process
        self._set(running=True, ready=False, reason=STARTING, message="")
        return process

    def _on_line(self, line: str) -> None:
        if line:
            self._last_lines.append(line)
            self._around.on_line(self._pod, line)

    def _project(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for volume in self._pod["spec"].get("volumes", ()):
            place = self._directory / "volumes" / volume["name"]
            if is_scratch(volume):
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            else:
                project(place, files_of(volume, self._pod, self._around.lookup))

    async def _attend(self, process: Process) -> int:
        """Probe the process until it ends; the exit code."""
        end = asyncio.create_task(process.wait())
        began = answered = time.monotonic()
        unready = STARTING
        try:
            while not end.done():
                container = only_container(self._pod)
                readiness, liveness = container.get("readinessProbe"), container.get("livenessProbe")
                problem = await self._probe(readiness, container)
                if problem is None or time.monotonic() - began > START_SECONDS:
                    unready = UNREADY
                self._set(ready=problem is None, reason=unready if problem else "", message=problem or "")
                # What is ready lives: no need to ask twice.
                if problem is None or await self._probe(liveness, container) is None:
                    answered = time.monotonic()
                elif time.monotonic() - answered > _patience(liveness):
                    self._last_lines.append("it did not answer its liveness probe")
                    await process.stop(0)
                pause = min(1.0, float((readiness or {}).get("periodSeconds", 1)))
                await asyncio.wait([end], timeout=pause if problem is None else PROBE_SECONDS)
            return end.result()
        finally:
            end.cancel()

    async def _probe(self, probe: Mapping[str, Any] | None, container: Mapping[str, Any]) -> str | None:
        if probe is None:
            return None
        places = Places(mounts_of(self._pod, self._directory), self._around.addresses)
        return await probes.ask(
            self._around.session, probe, container, places.put_right, self._around.base_env
        )


def _patience(liveness: Mapping[str, Any] | None) -> float:
    """Seconds without an answer after which the process counts as dead."""
    if liveness is None:
        return float("inf")
    between = float(liveness.get("periodSeconds", 10)) * float(liveness.get("failureThreshold", 3))
    return between + float(liveness.get("initialDelaySeconds", 0))
