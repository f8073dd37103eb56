"""The load generator for SFUs, tests/bench/load, and how processes that answer JSON lines are spoken to."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CRATE = ROOT / "tests" / "bench" / "load"
ANSWER_SECONDS = 20.0
CONNECT_SECONDS = 30.0
POLL_SECONDS = 0.05
LONGEST_LINE = 1 << 22


class LoadError(Exception):
    """A process can't be had, has ended, refused a request, or something did not happen in time."""


def build() -> Path:
    """The generator, built if its sources have changed.

    Raises:
        LoadError: it can't be built here; the message says why in one line.
    """
    if shutil.which("cargo") is None:
        raise LoadError("cargo is not installed (rustup, or your distribution's, 1.89 or newer)")
    argv = ["cargo", "build", "--release", "--locked", "--message-format=json-render-diagnostics"]
    done = subprocess.run(argv, cwd=CRATE, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise LoadError("cargo could not build the load generator; what it said stands above")
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    programs = [message["executable"] for message in messages if message.get("executable")]
    return Path(programs[-1])


class LineProcess:
    """A process that answers each line of JSON with one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def start(cls, argv: Sequence[str]) -> AsyncIterator[LineProcess]:
        """Run ``argv`` until the end of the context; it is told by the end of its input."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=LONGEST_LINE,
        )
        try:
            yield cls(process)
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    @property
    def pid(self) -> int:
        """For /proc."""
        return self._process.pid

    async def line(self) -> dict[str, Any]:
        """What it says next.

        Raises:
            LoadError: nothing in time, or it has ended.
        """
        assert self._process.stdout
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise LoadError("no answer in time") from None
        if not line:
            raise LoadError("the process has ended")
        said: dict[str, Any] = json.loads(line)
        return said

    async def ask(self, op: str, **arguments: Any) -> dict[str, Any]:
        """One request and its answer.

        Raises:
            LoadError: it was refused, or there is no answer.
        """
        assert self._process.stdin
        async with self._turn:
            self._process.stdin.write(json.dumps({"op": op, **arguments}).encode() + b"\n")
            answer = await self.line()
        if "error" in answer:
            raise LoadError(f"{op}: {answer['error']}")
        return answer


@dataclass(frozen=True)
class Stream:
    """One stream of RTP; ``kind`` is audio or video."""

    mid: str
    kind: str
    ssrc: int
    rtx: int | None = None


@dataclass(frozen=True)
class Pace:
    """How a publication is sent; see the generator's ``request.rs``."""

    peer: int
    mid: str
    size: int
    packets: int
    rate: float = 0.0
    window: int | None = None


@dataclass(frozen=True)
class Credentials:
    """Of ICE."""

    ufrag: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Connection:
    """A client's transport; see the generator's ``request.rs``."""

    peer: int
    local: Credentials
    remote: Credentials
    fingerprint: str
    """Of the SFU's certificate, in hex with colons."""
    address: str
    controlling: bool
    extensions: Collection[tuple[int, str]]
    publishes: Collection[Stream] = ()
    receives: Collection[Stream] = ()
    data: bool = False
    counts_only: bool = False
    feedback: bool = True


class Load:
    """A running generator."""

    def __init__(self, process: LineProcess, fingerprint: str) -> None:
        self._process = process
        self.fingerprint = fingerprint
        """SHA-256 of the certificate that all its clients show."""

    @property
    def pid(self) -> int:
        """For /proc."""
        return self._process.pid

    @classmethod
    @asynccontextmanager
    async def start(cls, program: Path, prefix: Sequence[str] = ()) -> AsyncIterator[Load]:
        """Run it until the end of the context; ``prefix`` stands before its command line."""
        async with LineProcess.start([*prefix, str(program)]) as process:
            yield cls(process, (await process.line())["fingerprint"])

    async def connect(self, connection: Connection) -> None:
        """Start a client's transport."""
        await self._process.ask("connect", **asdict(connection))

    async def receive(self, peer: int, streams: Collection[Stream]) -> None:
        """Let a client expect more."""
        await self._process.ask("receive", peer=peer, tracks=[asdict(stream) for stream in streams])

    async def pace(self, tracks: Collection[Pace]) -> None:
        """Replace all that is sent."""
        await self._process.ask("pace", tracks=[asdict(track) for track in tracks])

    async def close(self, peer: int) -> None:
        """End a client."""
        await self._process.ask("close", peer=peer)

    async def measure(self) -> dict[str, Any]:
        """Counts since the last call; see the generator's ``tally.rs``."""
        return await self._process.ask("measure")

    async def profiles(self) -> list[str]:
        """The SRTP profiles that the SFU chose."""
        return sorted((await self._process.ask("state"))["profiles"])

    async def connected(self, peers: Collection[int]) -> None:
        """Wait until the transports are up.

        Raises:
            LoadError: one has ended, or they are not in time.
        """
        await self._until(lambda state: set(peers) <= set(state["connected"]), "connected")

    async def flowing(self, streams: Mapping[int, int]) -> None:
        """Wait until each peer has had media on so many streams.

        Raises:
            LoadError: a transport has ended, or they are not in time.
        """
        await self._until(
            lambda state: all(state["streams"][str(peer)] >= count for peer, count in streams.items()),
            "receiving",
        )

    async def _until(self, done: Callable[[dict[str, Any]], bool], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + CONNECT_SECONDS
        while True:
            state = await self._process.ask("state")
            if state["dead"]:
                raise LoadError(f"the SFU ended the transports of peers {state['dead']}")
            if done(state):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise LoadError(f"not all are {what} in time: {state}")
            await asyncio.sleep(POLL_SECONDS)
