"""Our SFU beside Janus and LiveKit: the same clients, rooms and machine, round after round in turn.

Clients are those of tests/bench/load, which speak ICE, DTLS and SRTP by an implementation that is none of
ours. Prints one JSON line a figure; an SFU that can't be had here is named with the reason, without one.
Where it is stands on standard error, run by run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kit.sfu_load import Load, LoadError, build
from sfu_callcluster import CallCluster
from sfu_contestant import (
    GENERATOR_CORE,
    Contestant,
    NotRun,
    busy_seconds,
    cpu_seconds,
    memory_kib,
    packet_thread,
    pinned,
)
from sfu_janus import Janus
from sfu_livekit import LiveKit
from sfu_shapes import SHAPES, Shape, one_to, paces, settle, video

CONTESTANTS: dict[str, type[Contestant]] = {"callcluster": CallCluster, "janus": Janus, "livekit": LiveKit}
AIMS = {
    "video": ">= 3 x the better peer, and 350,000",
    "frames": ">= 3 x the better peer, and 350,000",
    "saturated": ">= 800,000",
    "audio": ">= 3 x the better peer",
    "meeting": "",
}
ROUNDS, SECONDS = 4, 4.0
QUICK_ROUNDS, QUICK_SECONDS = 1, 2.0
FAILURES = 2
"""After so many an SFU has no further rounds of a shape."""
WARM_UP_SECONDS = 1.0
PERCENTILES = ("p50", "p99")
RATE = "packets per CPU-second"
SHARE = 0.7
"""Of a core: the load at which latency counts."""
LATENCY_LISTENERS = 100
"""So many that each has a rate like that of a large call."""
STEPS, STEP_SECONDS, LARGEST_STEP = 4, 1.5, 4.0
"""To find the rate for it."""
FANS = (1, 3, 10, 30, 100, 300)
IDLE_MEMBERS = 50
PRODUCERS, PRODUCER_SECONDS = 10, 15.0
CAMERA = video(57.0)
"""720p at 1.5 Mb/s."""
MEMORY = (("idle participant", "<= 64 KiB"), ("720p producer with one watcher", "<= 1,024 KiB"))


@dataclass(frozen=True)
class Run:
    """One measured interval."""

    counts: dict[str, Any]
    """The generator's; see tally.rs."""
    cpu: float
    """Seconds of the SFU."""
    elsewhere: float
    """Cores that neither the SFU nor the generator used, yet were not idle."""

    @property
    def rate(self) -> float:
        """Received packets per CPU-second."""
        return float(self.counts["received"] / self.cpu)

    @property
    def share(self) -> float:
        """Of a core."""
        return float(self.cpu / self.counts["seconds"])

    def latency(self, percentile: str) -> float:
        """Milliseconds."""
        return float(self.counts["latency"][percentile] / 1000)

    @property
    def lost(self) -> float:
        """Percent of what was sent to all receivers."""
        received, lost = self.counts["received"], self.counts["lost"]
        return float(100 * lost / max(1, received + lost))


class Bench:
    """Runs of one invocation."""

    def __init__(self, generator: Path, seconds: float, rounds: int, names: list[str]) -> None:
        self._generator = generator
        self._seconds = seconds
        self._rounds = rounds
        self._contestants = [CONTESTANTS[name] for name in names]
        self._elsewhere: list[float] = []
        self._profiles: dict[str, set[str]] = {}
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        """Tell the one who waits where it is."""
        print(f"  {time.monotonic() - self._begun:4.0f} s  {text}", file=sys.stderr, flush=True)

    @asynccontextmanager
    async def room(self, contestant: type[Contestant]) -> AsyncIterator[tuple[Load, Contestant]]:
        """A fresh SFU and fresh clients."""
        async with Load.start(self._generator, pinned(GENERATOR_CORE)) as load, contestant.start() as sfu:
            yield load, sfu

    async def measured(self, load: Load, sfu: Contestant, seconds: float) -> Run:
        """Count for so long what goes on.

        Raises:
            LoadError: nothing arrived at those who open it.
        """
        kernel = packet_thread()
        sfu_pids = [sfu.pid, *([kernel] if kernel else [])]

        def read() -> tuple[float, float]:
            own = sum(map(cpu_seconds, sfu_pids))
            return own, busy_seconds() - own - cpu_seconds(load.pid) - cpu_seconds(os.getpid())

        await load.measure()
        before = read()
        await asyncio.sleep(seconds)
        after = read()
        counts = await load.measure()
        if not counts["opened"]:
            raise LoadError("nothing arrived")
        elsewhere = max(0.0, (after[1] - before[1]) / counts["seconds"])
        run = Run(counts, after[0] - before[0], elsewhere)
        self._elsewhere.append(run.elsewhere)
        return run

    async def throughput(self, key: str, shape: Shape) -> None:
        """Packets per CPU-second, and latency, of everyone in turn."""
        runs: dict[type[Contestant], dict[int, Run]] = {contestant: {} for contestant in self._contestants}
        for number in range(self._rounds):
            for contestant in self._turns(number):
                if number - len(runs[contestant]) < FAILURES:
                    self.say(f"{shape.name}, round {number + 1} of {self._rounds}: {contestant.title}")
                    if (run := await self._once(contestant, shape)) is not None:
                        runs[contestant][number] = run
        done = {contestant: rounds for contestant, rounds in runs.items() if rounds}
        peers = {contestant: rounds for contestant, rounds in done.items() if contestant is not CallCluster}
        best = max(peers, key=lambda peer: median_rate(peers[peer]), default=None)
        for contestant, rounds in done.items():
            extra: dict[str, Any] = {"aim": AIMS[key]} if contestant is CallCluster else {}
            if contestant is CallCluster and best is not None:
                ratios = [
                    run.rate / peers[best][at].rate for at, run in rounds.items() if at in peers[best]
                ]
                if ratios:
                    extra |= {"ratio": statistics.median(ratios), "ratios": ratios, "peer": best.title}
            rates = [run.rate for run in rounds.values()]
            report(f"{shape.name}, {contestant.title}", RATE, rates, **of(contestant), **extra)
        for contestant, rounds in done.items():
            lost = [run.lost for run in rounds.values()]
            if any(lost):
                report(f"{shape.name}, {contestant.title}: lost", "% of packets", lost, **of(contestant))
        for percentile in () if shape.counts_only else PERCENTILES:
            for contestant, rounds in done.items():
                latency = [run.latency(percentile) for run in rounds.values()]
                name = f"{shape.name}, {contestant.title}: latency {percentile}"
                report(name, "ms", latency, **of(contestant))

    def _turns(self, number: int) -> list[type[Contestant]]:
        """Each round begins with another one: what disturbs at times disturbs none more than the others."""
        first = number % len(self._contestants)
        return [*self._contestants[first:], *self._contestants[:first]]

    async def _once(self, contestant: type[Contestant], shape: Shape) -> Run | None:
        try:
            async with self.room(contestant) as (load, sfu):
                await settle(load, sfu, shape)
                self._profiles.setdefault(contestant.title, set()).update(await load.profiles())
                await asyncio.sleep(WARM_UP_SECONDS)
                return await self.measured(load, sfu, self._seconds)
        except (LoadError, NotRun) as error:
            not_run(f"{shape.name}, {contestant.title}", error)
            return None

    async def latency(self) -> None:
        """At the rate that takes each SFU a certain share of a core."""
        shape = replace(one_to(LATENCY_LISTENERS), counts_only=True)
        done: dict[type[Contestant], Run] = {}
        for contestant in self._contestants:
            name = f"latency at {SHARE:.0%} of a core, {contestant.title}"
            self.say(name)
            try:
                async with self.room(contestant) as (load, sfu):
                    published = await settle(load, sfu, shape)
                    await asyncio.sleep(WARM_UP_SECONDS)
                    rate = shape.paces["video"].rate
                    for _ in range(STEPS):
                        run = await self.measured(load, sfu, STEP_SECONDS)
                        rate *= min(LARGEST_STEP, SHARE / max(run.share, 0.01))
                        await load.pace(paces(replace(shape, paces={"video": video(rate)}), published))
                    done[contestant] = await self.measured(load, sfu, self._seconds)
            except (LoadError, NotRun) as error:
                not_run(name, error)
        for percentile in PERCENTILES:
            for contestant, run in done.items():
                rate = run.counts["received"] / run.counts["seconds"]
                name = f"{contestant.title} at {run.share:.0%} of a core, {rate:,.0f} packets/s"
                aim = {"aim": "<= 3 ms"} if (contestant, percentile) == (CallCluster, "p99") else {}
                report(
                    f"{name}: latency {percentile}",
                    "ms",
                    [run.latency(percentile)],
                    **of(contestant),
                    **aim,
                )

    async def fans(self) -> None:
        """What a subscriber costs, by how many there are; ours alone."""
        for listeners in FANS:
            self.say(one_to(listeners).name)
            if (run := await self._once(CallCluster, one_to(listeners))) is not None:
                report(
                    one_to(listeners).name,
                    "% of a core",
                    [100 * run.share],
                    x=listeners,
                    over="subscribers",
                )

    async def memory(self) -> None:
        """Private memory that members and producers add."""
        found: dict[type[Contestant], tuple[float, float]] = {}
        for contestant in self._contestants:
            self.say(f"memory, {contestant.title}")
            try:
                async with self.room(contestant) as (load, sfu):
                    found[contestant] = await self._memory(load, sfu)
            except (LoadError, NotRun) as error:
                not_run(f"memory, {contestant.title}", error)
        for at, (what, aim) in enumerate(MEMORY):
            for contestant, some in found.items():
                extra = {"aim": aim} if contestant is CallCluster else of(contestant)
                report(f"memory for each {what}, {contestant.title}", "KiB", [some[at]], **extra)

    async def _memory(self, load: Load, sfu: Contestant) -> tuple[float, float]:
        """KiB for each idle member, who has offered a microphone, and for each camera that one watches."""
        first = await sfu.publish(load, "first", ["audio"])
        await load.connected([one.peer for one in first])
        before = memory_kib(sfu.pid)
        idle = [await sfu.publish(load, f"i{number}", ["audio"]) for number in range(IDLE_MEMBERS)]
        await load.connected([one.peer for some in idle for one in some])
        await asyncio.sleep(WARM_UP_SECONDS)
        each = (memory_kib(sfu.pid) - before) / IDLE_MEMBERS
        cameras = [await sfu.publish(load, f"c{number}", ["video"]) for number in range(PRODUCERS)]
        await load.connected([some[0].peer for some in cameras])
        await sfu.subscribe(load, "watcher")
        before = memory_kib(sfu.pid)
        await load.pace([replace(CAMERA, peer=one.peer, mid=one.mid) for some in cameras for one in some])
        await asyncio.sleep(min(PRODUCER_SECONDS, 3 * self._seconds))
        return each, (memory_kib(sfu.pid) - before) / PRODUCERS

    def report_conditions(self) -> None:
        """How alike the SFUs ran, and how far to trust the figures."""
        for title, profiles in self._profiles.items():
            report_text(f"SRTP profile, {title}", ", ".join(profiles))
        most = max(self._elsewhere, default=0.0)
        report_text("other work on the machine during the runs", f"{most:.2f} cores at the most")


def median_rate(rounds: dict[int, Run]) -> float:
    """Of all rounds that were run."""
    return statistics.median(run.rate for run in rounds.values())


def report(name: str, unit: str, values: list[float], **extra: Any) -> None:
    """Print one figure."""
    figure = {"bench": "sfu", "name": name, "unit": unit, "median": statistics.median(values)}
    print(json.dumps({**figure, "values": values, **extra}), flush=True)


def of(contestant: type[Contestant]) -> dict[str, str]:
    """How a figure says whose it is."""
    return {} if contestant is CallCluster else {"of": "peer"}


def report_text(name: str, text: str) -> None:
    """Print what stands in a figure's place."""
    print(json.dumps({"bench": "sfu", "name": name, "text": text}), flush=True)


def not_run(name: str, error: Exception) -> None:
    """Print why there is no figure."""
    report_text(name, f"not run: {error}")


def names_of(text: str, known: dict[str, Any] | tuple[str, ...]) -> list[str]:
    """A list from the command line.

    Raises:
        argparse.ArgumentTypeError: one of the names is not known.
    """
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(known)}")
    return names


PARTS = (*SHAPES, "latency", "fans", "memory")


async def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of everything, for a look")
    parser.add_argument("--parts", default=",".join(PARTS), type=lambda text: names_of(text, PARTS))
    parser.add_argument(
        "--sfus", default=",".join(CONTESTANTS), type=lambda text: names_of(text, CONTESTANTS)
    )
    arguments = parser.parse_args()
    seconds, rounds = (QUICK_SECONDS, QUICK_ROUNDS) if arguments.quick else (SECONDS, ROUNDS)
    print("  building the load generator", file=sys.stderr, flush=True)
    try:
        generator = build()
    except LoadError as error:
        not_run("everything", error)
        return
    bench = Bench(generator, seconds, rounds, arguments.sfus)
    for part in arguments.parts:
        if part in SHAPES:
            await bench.throughput(part, SHAPES[part])
        else:
            await {"latency": bench.latency, "fans": bench.fans, "memory": bench.memory}[part]()
    bench.report_conditions()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
