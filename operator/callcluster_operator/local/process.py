"""Processes that never outlive the one who started them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path

from callcluster_operator.local import warden

LINE_LIMIT = 4096
"""Longer lines of output are cut: a workload that prints megabytes must not fill our memory."""
OUTPUT_SECONDS = 1.0
"""How long to read on after the end: what escaped the process group may hold the pipe open."""


class StartError(Exception):
    """The program can't be started; the message says why."""


class Warden:
    """Kills what is left and removes ``directory`` should this very process be killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, directory: Path) -> Warden:
        """Start the watching process."""
        # A session of its own keeps it out of reach of Ctrl-C and of a kill of our process group.
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                warden.__file__,
                str(directory),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def guard(self, group: int) -> None:
        """Kill this process group when we end without :meth:`release`."""
        self._tell(f"+{group}\n")

    def release(self, group: int) -> None:
        """The group has ended: its number may soon be another's."""
        self._tell(f"-{group}\n")

    async def stop(self) -> None:
        """End the watch; the directory is removed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        # Where somebody killed the warden nobody listens any more; stop() still ends the workloads.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
            self._process.stdin.write(line.encode())


class Process:
    """One program and all that it starts, as a process group."""

    def __init__(self, process: asyncio.subprocess.Process, guard: Warden, output: _Output) -> None:
        self._process = process
        self._guard = guard
        self._output = output
        self._end = asyncio.create_task(self._watch())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        guard: Warden,
        on_line: Callable[[str], None],
    ) -> Process:
        """Start a program with exactly ``env``; each line that it prints goes to ``on_line``.

        Raises:
            StartError: the program is missing or can't be run.
        """
        output = await _Output.open(on_line)
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=dict(env),
                cwd=cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output.inlet,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            output.close()
            raise StartError(f"can't run {argv[0]}: {error.strerror}") from None
        except ValueError:
            output.close()
            text = "a variable or argument holds a character that none may have"
            raise StartError(f"can't run {argv[0]}: {text}") from None
        except BaseException:
            output.close()
            raise
        output.close_inlet()
        guard.guard(process.pid)
        return cls(process, guard, output)

    @property
    def pid(self) -> int:
        """Id of the process, and of its group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program itself still runs."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for the end of the whole group; the exit code, negative for a signal."""
        return await asyncio.shield(self._end)

    async def stop(self, grace: float) -> int:
        """Ask the program to end (SIGTERM) and kill its group after ``grace`` seconds."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            self._signal_group(signal.SIGKILL)
            return await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        # Only the program itself: what it started is its own to end, in its own order.
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _watch(self) -> int:
        code = await self._process.wait()
        self._signal_group(signal.SIGKILL)
        self._guard.release(self._process.pid)
        await self._output.finish()
        return code


class _Output:
    """A pipe of our own: with one of asyncio's, a program's end is seen only when its heirs end, too."""

    def __init__(
        self, inlet: int, transport: asyncio.ReadTransport, reading: Coroutine[None, None, None]
    ) -> None:
        self.inlet = inlet
        self._transport = transport
        self._reading = asyncio.create_task(reading)

    @classmethod
    async def open(cls, on_line: Callable[[str], None]) -> _Output:
        outlet, inlet = os.pipe()
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(outlet, "rb", buffering=0)
        )
        return cls(inlet, transport, _read(reader, on_line))

    def close_inlet(self) -> None:
        """The program has it now."""
        os.close(self.inlet)

    def close(self) -> None:
        """No program was started."""
        self.close_inlet()
        self._transport.close()

    async def finish(self) -> None:
        """Read what is still there."""
        try:
            async with asyncio.timeout(OUTPUT_SECONDS):
                await self._reading
        except TimeoutError:
            pass  # somebody out of reach holds the pipe; what they say is of no use
        self._transport.close()


async def _read(reader: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    rest = b""
    while chunk := await reader.read(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            on_line(line[:LINE_LIMIT].decode(errors="replace").rstrip())
        rest = rest[:LINE_LIMIT]
    if rest:
        on_line(rest.decode(errors="replace").rstrip())
