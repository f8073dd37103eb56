"""What the benchmark wants of an SFU, and how it is pinned and its use of the machine is read."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from kit.sfu_load import Load, LoadError

TICKS = os.sysconf("SC_CLK_TCK")
PEERS = itertools.count(1)
"""Numbers of the generator's clients, for all contestants of a run."""


ANSWER_SECONDS = 20.0
T = TypeVar("T")


class NotRun(Exception):  # noqa: N818 - not a failure: what stands in the tables in the figure's place
    """This SFU can't be had on this machine; the message says why in one line."""


@dataclass(frozen=True)
class Published:
    """A publication: which of the generator's clients sends it, and on which section."""

    peer: int
    mid: str
    kind: str


class Contestant(ABC):
    """One running SFU with one empty room."""

    title: ClassVar[str]

    @classmethod
    @abstractmethod
    def start(cls) -> AbstractAsyncContextManager[Contestant]:
        """Run it.

        Raises:
            NotRun: it can't be had here.
        """

    @property
    @abstractmethod
    def pid(self) -> int:
        """Its one process."""

    @abstractmethod
    async def publish(self, load: Load, member: str, kinds: Sequence[str]) -> list[Published]:
        """Connect a client that will send these, which are audio or video."""

    @abstractmethod
    async def subscribe(
        self, load: Load, member: str, *, counts_only: bool = False, feedback: bool = True
    ) -> int:
        """Let a member have all that others publish, after all publishing; the number of its client."""


async def in_time(what: str, answer: Awaitable[T]) -> T:
    """What an SFU answers.

    Raises:
        LoadError: it does not, in time.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await answer
    except TimeoutError:
        raise LoadError(f"no answer in time: {what}") from None


def pinned(core: int) -> list[str]:
    """The start of a command line that keeps a process on one core, where there are two."""
    return ["taskset", "-c", str(core)] if (os.cpu_count() or 1) > core and shutil.which("taskset") else []


GENERATOR_CORE, SFU_CORE = 0, 1


def cpu_seconds(pid: int) -> float:
    """User and system time of a process' threads, which must not end while it is measured."""
    return sum(map(_thread_seconds, Path(f"/proc/{pid}/task").iterdir()))


def _thread_seconds(thread: Path) -> float:
    return int((thread / "schedstat").read_text().split()[0]) / 1e9


def busy_seconds() -> float:
    """Of all cores since the start of the machine, without waiting and idling."""
    first, _, _ = Path("/proc/stat").read_text().partition("\n")
    user, nice, system, _idle, _wait, irq, softirq = map(int, first.split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def packet_thread() -> int | None:
    """The kernel's thread that takes over an SFU's network work on its core when that becomes much."""
    for status in Path("/proc").glob("[0-9]*/comm"):
        try:
            if status.read_text().strip() == f"ksoftirqd/{SFU_CORE}":
                return int(status.parent.name)
        except FileNotFoundError:
            continue
    return None


def memory_kib(pid: int) -> int:
    """Resident memory without what is shared with other processes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(
        int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))
    )
