"""`callcluster up` as a process, for tests."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from kit.eventually import eventually

ALONE = ("--without", "redis", "--without", "turn")
"""What leaves signaling alone."""


class Up:
    """A running `callcluster up`, and what it has printed."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, runtime_directory: Path) -> None:
        self.process = process
        self.port = port
        self.runtime_directory = runtime_directory
        self.lines: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def says(self, text: str, *, within: float = 45.0, after: int = 0) -> str:
        """The first line from number ``after`` on that contains ``text``."""

        def found() -> str | None:
            if self.process.returncode is not None and self._reading.done():
                raise EOFError("callcluster up has ended:\n" + "\n".join(self.lines))
            return next((line for line in self.lines[after:] if text in line), None)

        try:
            line = await eventually(found, within=within)
        except AssertionError:
            raise AssertionError(f"{text!r} was not said:\n" + "\n".join(self.lines)) from None
        assert line is not None
        return line

    async def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Signal it, and wait for its exit code."""
        self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 30)
        await self._reading
        return code

    async def call(self, *arguments: str) -> tuple[int, str]:
        """Run another `callcluster` command beside it: exit code and output."""
        return await callcluster(*arguments, runtime_directory=self.runtime_directory)

    def processes(self) -> dict[int, str]:
        """Everything that runs out of this instance's directory, by process id: its command line."""
        return running_below(self.runtime_directory)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())


@asynccontextmanager
async def up(
    *arguments: str, port: int, runtime_directory: Path, path: str | None = None
) -> AsyncIterator[Up]:
    """Start `callcluster up`; what is still running at the end is killed."""
    process = await asyncio.create_subprocess_exec(
        *_command(("up", "--port", str(port), *arguments)),
        env=_environment(runtime_directory, path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=runtime_directory,
    )
    started = Up(process, port, runtime_directory)
    try:
        yield started
    finally:
        if process.returncode is None:
            await started.end(signal.SIGKILL)


async def callcluster(*arguments: str, runtime_directory: Path, path: str | None = None) -> tuple[int, str]:
    """Run a command to its end: exit code and output."""
    process = await asyncio.create_subprocess_exec(
        *_command(arguments),
        env=_environment(runtime_directory, path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=runtime_directory,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode()


def running_below(directory: Path) -> dict[int, str]:
    """Processes that work in a directory below ``directory``, by id: their command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # Not by their environment: Redis writes its title over it.
            if str((entry / "cwd").readlink()).startswith(f"{directory}/"):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                if line:
                    found[int(entry.name)] = line
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has just ended
    return found


def nothing_is_left(directory: Path) -> bool:
    """Whether neither process nor file of an instance is there any more."""
    return not running_below(directory) and not list(directory.glob("callcluster-*/*"))


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-c", "from callcluster_operator.cli import main; main()", *arguments]


def _environment(runtime_directory: Path, path: str | None) -> dict[str, str]:
    return {
        "PATH": path or os.environ["PATH"],
        "XDG_RUNTIME_DIR": str(runtime_directory),
        "PYTHONUNBUFFERED": "1",
    }
