"""Our packet plane beside Janus and LiveKit: the same clients, shapes and machine, one after the other.

Clients are those of tests/bench/load, which speak ICE, DTLS and SRTP by an implementation that is none of
ours. Prints one JSON line a figure.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from kit.sfu_load import Load, LoadError, Pace, build
from sfu_callcluster import CallCluster
from sfu_contestant import (
    GENERATOR_CORE,
    Contestant,
    NotRun,
    Published,
    cpu_seconds,
    packet_thread,
    pinned,
)
from sfu_janus import Janus
from sfu_livekit import LiveKit

CONTESTANTS: dict[str, type[Contestant]] = {"callcluster": CallCluster, "janus": Janus, "livekit": LiveKit}
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True)
class Shape:
    """Who sends what to whom."""

    name: str
    publishers: int
    kinds: tuple[str, ...]
    """Of each publisher, in order; those after ``live`` are negotiated and idle."""
    listeners: int
    """Members who only receive."""
    paces: dict[str, Pace]
    """By kind; peer and section are filled in."""
    live: int = 1
    meeting: bool = False
    """Publishers receive as well."""
    counts_only: bool = False
    """All listeners but one count without opening: for loads that clients could not follow."""


def video(rate: float, **changes: Any) -> Pace:
    """Frames of three packets of 1,100 bytes."""
    return replace(Pace(0, "", size=1100, packets=3, rate=rate), **changes)


AUDIO = Pace(0, "", size=100, packets=1, rate=50.0)
IDLE = ("video",) * 18
SHAPES = {
    "video": Shape("1 to 10 video", 1, ("video", *IDLE), 10, {"video": video(1000.0)}),
    "saturated": Shape(
        "1 to 10 video, saturated", 1, ("video",), 10,
        {"video": video(0.0, packets=8, window=64)}, counts_only=True,
    ),
    "audio": Shape("10 to 30 audio", 10, ("audio",), 30, {"audio": AUDIO}),
    "meeting": Shape(
        "meeting of 8", 8, ("audio", "video"), 0,
        {"audio": AUDIO, "video": video(30.0)}, live=2, meeting=True,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One measured interval."""

    packets: int
    """That clients received."""
    cpu_seconds: float
    counts: dict[str, Any]


async def settle(load: Load, sfu: Contestant, shape: Shape) -> list[Published]:
    """Connect everyone; media flows on every section. Returns what is to be sent."""
    published: list[Published] = []
    for number in range(shape.publishers):
        published += (await sfu.publish(load, f"p{number}", shape.kinds))[: shape.live]
    await load.connected({one.peer for one in published})
    tracks = len(shape.kinds)
    expected: dict[int, int] = {}
    for number in range(shape.publishers if shape.meeting else 0):
        peer = await sfu.subscribe(load, f"p{number}")
        expected[peer] = tracks * (shape.publishers - 1)
    for number in range(shape.listeners):
        peer = await sfu.subscribe(load, f"s{number}", counts_only=shape.counts_only and number > 0)
        expected[peer] = tracks * shape.publishers
    await load.connected(expected)
    await load.pace(paces(shape, published))
    await load.flowing(expected)
    return published


def paces(shape: Shape, published: Sequence[Published]) -> list[Pace]:
    """The load on what was published."""
    return [replace(shape.paces[one.kind], peer=one.peer, mid=one.mid) for one in published]


async def measured(load: Load, sfu: Contestant, seconds: float) -> Run:
    """Count for so long what goes on."""
    kernel = packet_thread()
    pids = [sfu.pid, *([kernel] if kernel else [])]
    await load.measure()
    before = sum(map(cpu_seconds, pids))
    await asyncio.sleep(seconds)
    after = sum(map(cpu_seconds, pids))
    counts = await load.measure()
    return Run(counts["received"], after - before, counts)


async def run_shape(contestant: type[Contestant], shape: Shape, seconds: float, rounds: int) -> list[Run]:
    """All rounds of one contestant in one room."""
    async with AsyncExitStack() as stack:
        load = await stack.enter_async_context(Load.start(build(), pinned(GENERATOR_CORE)))
        sfu = await stack.enter_async_context(contestant.start())
        await settle(load, sfu, shape)
        await asyncio.sleep(WARM_UP_SECONDS)
        return [await measured(load, sfu, seconds) for _ in range(rounds)]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs, for a look")
    parser.add_argument("--shapes", default=",".join(SHAPES), help="of " + ", ".join(SHAPES))
    parser.add_argument("--sfus", default=",".join(CONTESTANTS), help="of " + ", ".join(CONTESTANTS))
    arguments = parser.parse_args()
    seconds, rounds = (2.0, 1) if arguments.quick else (5.0, 3)
    for name in arguments.shapes.split(","):
        for key in arguments.sfus.split(","):
            try:
                runs = await run_shape(CONTESTANTS[key], SHAPES[name], seconds, rounds)
            except (LoadError, NotRun) as error:
                print(f"{key}, {name}: not run: {error}", file=sys.stderr)
                continue
            for run in runs:
                print(
                    key,
                    name,
                    f"{run.packets / run.cpu_seconds:,.0f}/CPU-s",
                    f"cpu {run.cpu_seconds / seconds:.2f}",
                    run.counts,
                )


if __name__ == "__main__":
    asyncio.run(main())
