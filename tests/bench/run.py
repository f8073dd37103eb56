"""Runs the benchmarks, prints the figures, and writes docs/benchmarks.md with plots.

The figures themselves are kept in docs/benchmarks, so that a run of some keeps the others' sections.

Each benchmark is a script of its own that prints one JSON line a figure: bench, name, unit, median, values,
and where there is a peer beside it, ratio, ratios and peer; the peer's own figures say of: peer. Points of
a curve have x, and over, which says what x is. A figure without its command and machine is worth
nothing, so both stand in the document. A line with name and text alone says why a figure is missing, or
under which conditions the others hold.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.patches import Patch

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
IMAGES = ROOT / "docs" / "images"
RESULTS = ROOT / "docs" / "benchmarks"
OURS, PEER = "#2f6f8f", "#b9bfc4"
CURVE = 8.0
"""Height of a panel with a curve, in bars."""

Figure = dict[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """One script and how its figures are introduced."""

    script: str
    title: str
    text: str
    apart: bool = False
    """Runs only when it is named: it takes long, and more programs than the others."""


BENCHMARKS = (
    Benchmark(
        "signaling",
        "Signaling",
        "Messages that the server delivers for each second of its own CPU, under a flood: 100 connections "
        "with 4 messages of 300 bytes in flight each, rate limits lifted by the settings. *Acknowledged* "
        "messages have a request id, so that the server writes a reply as well. The peers run at the same "
        "time and are flooded in turn with the same bytes: a bare `websockets` echo server, and for "
        "messages to all of a room a bare relay by its `broadcast`. They parse no JSON, know no rooms and "
        "speak to no Redis. We write all that one tick of the event loop has for a socket at once, where "
        "the peers write each message by itself: what that saves pays for much of the rooms and the JSON. "
        "The share of a core is what the machine's other work left to the flooded server.\n\n"
        "Memory is what the process grows by, for each of 1,000 connections; the bare server keeps each "
        "handshake's headers, ours lets them go. The cost of a command to Redis (`--part commands`) is "
        "that of the client's process, for the publish script in batches of 50.",
    ),
    Benchmark(
        "join",
        "Joining a call",
        "Two members in headless Chromium on loopback, from `join()` to the first decrypted video frame of "
        "the other, who is there already.",
    ),
    Benchmark(
        "turn_rotation",
        "Rotation under load",
        "200 allocations relay through coturn while the agent stages, switches and retires TURN secrets.",
    ),
    Benchmark(
        "reconcile",
        "Reconciling",
        "Calls to a real kube-apiserver and CPU of the operator when nothing changes, with and without "
        "1,000 Rooms.",
    ),
    Benchmark(
        "sfu",
        "The SFU",
        "Packets that clients received for each second of CPU that the SFU took: all its threads, "
        "system calls and the kernel's network work included. Each SFU is alone on one core, the "
        "clients are on another, and the SFUs take turns, round by round. The clients' protocol is "
        "str0m's (ICE, DTLS, SRTP); clients that open what they get answer with transport-wide "
        "feedback, reports and NACKs. Each round begins with another SFU; a ratio is of two runs of one "
        "round. Ours is the packet plane with its rooms in Python, without "
        "signaling; Janus is the distribution's VideoRoom with one event loop and ICE-lite; LiveKit "
        "has one UDP port and batched writes, which hold packets for up to 2 ms; so does ours while turns "
        "that send 16 packets or more follow each other within 4 ms.\n\n"
        "*Video* is 1,000 frames a second of three packets of 1,100 bytes, with 18 further tracks "
        "negotiated and silent; *frame after frame* sends the next when the last has come through; "
        "*saturated* keeps 64 packets on their way, in bursts of 8. In these two, and for latency at a "
        "share of a core (1 to 100, by a rate to match), all clients but one count packets without "
        "opening them, and none gives transport-wide feedback: they could not follow otherwise. "
        "*Audio* is 50 packets of 100 bytes a second from each speaker. A meeting's video is 30 "
        "frames a second. Loss is of all packets to all clients, with what their own sockets could not "
        "hold; where none is listed there was none. Latency is from the sender's protocol to the receiving "
        "socket, by the kernel's arrival time. Memory is what is private to "
        "the process. Other work on the machine disturbs the figures: the last line says how many "
        "cores it took at most.",
        apart=True,
    ),
)


def figures_of(benchmark: Benchmark, quick: bool) -> Iterator[Figure]:
    """Run one script and yield its figures as they come.

    Raises:
        subprocess.CalledProcessError: the script failed; its standard error was shown.
    """
    argv = [sys.executable, str(ROOT / "tests" / "bench" / f"{benchmark.script}.py")] + (
        ["--quick"] if quick else []
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)


def number(value: float) -> str:
    """Three significant digits, no exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def row(figure: Figure) -> str:
    """One line of the table."""
    if "text" in figure:
        return f"| {figure['name']} | {figure['text']} | | | |"
    spread = (
        f"{number(min(figure['values']))} to {number(max(figure['values']))}"
        if len(figure["values"]) > 1
        else ""
    )
    ratio = f"{figure['ratio']:.2f} x {figure['peer']}" if "ratio" in figure else ""
    median = f"**{number(figure['median'])}** {figure['unit']}"
    return f"| {figure['name']} | {median} | {spread} | {ratio} | {figure.get('aim', '')} |"


def of_peer(figure: Figure) -> bool:
    """Whether it is what another program did beside ours."""
    return figure.get("of") == "peer"


def is_curve(figures: list[Figure]) -> bool:
    """Whether they are points of one curve, over their x."""
    return all("x" in figure for figure in figures)


def span(figures: list[Figure]) -> float:
    """The height of a panel, in bars."""
    if is_curve(figures):
        return CURVE
    return sum(0.75 if of_peer(figure) else 1.15 for figure in figures)


def plot(benchmark: Benchmark, figures: list[Figure]) -> Path:
    """Bars of the medians with all values as dots, one panel a unit; a peer's bar clings to ours."""
    panels_of = {
        unit: [figure for figure in figures if figure["unit"] == unit]
        for unit in dict.fromkeys(figure["unit"] for figure in figures)
    }
    spans = [span(some) for some in panels_of.values()]
    drawing, panels = pyplot.subplots(
        len(spans), 1, figsize=(9, sum(0.4 * span + 0.8 for span in spans)), squeeze=False,
        height_ratios=[span + 1 for span in spans],
    )  # fmt: skip
    for panel, (unit, some) in zip(panels[:, 0], panels_of.items(), strict=True):
        panel.spines[["top", "right"]].set_visible(False)
        if is_curve(some):
            panel.plot(
                [figure["x"] for figure in some], [figure["median"] for figure in some], "o-", color=OURS
            )
            panel.set_xlabel(some[0]["over"])
            panel.set_ylabel(unit)
            continue
        place, places = 0.0, []
        for figure in some:
            peer = of_peer(figure)
            place -= 0.75 if peer else 1.15
            places.append(place)
            panel.barh(place, figure["median"], color=PEER if peer else OURS, height=0.65)
            values = figure["values"]
            panel.plot(values, [place] * len(values), "o", color="#12303f", markersize=3, alpha=0.6)
        panel.set_yticks(places, [figure["name"] for figure in some])
        panel.set_xlabel(unit)
        panel.locator_params(axis="x", nbins=6)
        panel.xaxis.set_major_formatter("{x:,g}")
    if any(of_peer(figure) for figure in figures):
        marks = [Patch(color=OURS, label="CallCluster"), Patch(color=PEER, label="the peer beside it")]
        drawing.legend(handles=marks, loc="upper right", ncols=2, frameon=False)
    drawing.tight_layout(rect=(0, 0, 1, 0.98))
    IMAGES.mkdir(parents=True, exist_ok=True)
    path = IMAGES / f"bench-{benchmark.script}.png"
    drawing.savefig(path, dpi=110)
    pyplot.close(drawing)
    return path


def machine() -> str:
    """What a reader must know of the machine."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{os.cpu_count()} cores ({model})"
    return f"{cores}, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


@dataclass(frozen=True)
class Result:
    """What one run of a benchmark left in docs/benchmarks."""

    date: str
    machine: str
    figures: list[Figure]

    @classmethod
    def kept(cls, benchmark: Benchmark) -> Result | None:
        """That of the last run, if there was one."""
        path = RESULTS / f"{benchmark.script}.json"
        return cls(**json.loads(path.read_text())) if path.exists() else None

    def keep(self, benchmark: Benchmark) -> None:
        """Take the place of the last one."""
        figures = ",\n".join(f"    {json.dumps(figure)}" for figure in self.figures)
        head = json.dumps({"date": self.date, "machine": self.machine}, indent=2).removesuffix("\n}")
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{benchmark.script}.json").write_text(f'{head},\n  "figures": [\n{figures}\n  ]\n}}\n')


def document(results: dict[str, Result]) -> str:
    """The text of docs/benchmarks.md."""
    parts = [
        "# Benchmarks\n",
        "Written by `make bench` and `make bench-sfu`; the figures alone are in `docs/benchmarks`. The "
        "machines are virtual and shared, so trust CPU time and ratios more than wall time. Bold is the "
        "median, then smallest and largest run.\n",
    ]
    for benchmark in BENCHMARKS:
        result = results.get(benchmark.script)
        if result is None:
            continue
        figures = result.figures
        parts += [
            f"## {benchmark.title}\n",
            benchmark.text + "\n",
            f"`python tests/bench/{benchmark.script}.py` on {result.date}: {result.machine}.\n",
            "| figure | median | spread | against the peer | aim |\n|---|---|---|---|---|\n"
            + "\n".join(map(row, figures))
            + "\n",
        ]
        if any("text" not in figure for figure in figures):
            parts.append(f"![{benchmark.title}](images/bench-{benchmark.script}.png)\n")
    return "\n".join(parts)


def main() -> int:
    """Run the chosen benchmarks; the others keep their last figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="scripts to run, separated by commas")
    parser.add_argument("--quick", action="store_true", help="shorter runs, for a look; writes no document")
    arguments = parser.parse_args()
    only = [name for name in arguments.only.split(",") if name]
    for benchmark in BENCHMARKS:
        if benchmark.script not in only if only else benchmark.apart:
            continue
        print(f"\n== {benchmark.title}", flush=True)
        figures = []
        for figure in figures_of(benchmark, arguments.quick):
            figures.append(figure)
            print("  " + row(figure).strip("| ").replace(" | ", "  "), flush=True)
        if not arguments.quick:
            Result(f"{datetime.now(UTC):%Y-%m-%d}", machine(), figures).keep(benchmark)
            if measured := [figure for figure in figures if "text" not in figure]:
                plot(benchmark, measured)
    if not arguments.quick:
        kept = ((benchmark.script, Result.kept(benchmark)) for benchmark in BENCHMARKS)
        DOCUMENT.write_text(document({script: result for script, result in kept if result}))
        print(f"\nwrote {DOCUMENT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
