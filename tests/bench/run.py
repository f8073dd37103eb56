"""Runs the benchmarks, prints the figures, and writes docs/benchmarks.md with plots.

Each benchmark is a script of its own that prints one JSON line a figure: bench, name, unit, median, values,
and where there is a peer beside it, ratio, ratios and peer. A figure without its command and machine is
worth nothing, so both stand in the document.
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

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
IMAGES = ROOT / "docs" / "images"
RESULTS = ROOT / ".cache" / "bench"

Figure = dict[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """One script and how its figures are introduced."""

    script: str
    title: str
    text: str


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
    spread = (
        f"{number(min(figure['values']))} to {number(max(figure['values']))}"
        if len(figure["values"]) > 1
        else ""
    )
    ratio = f"{figure['ratio']:.2f} x {figure['peer']}" if "ratio" in figure else ""
    median = f"**{number(figure['median'])}** {figure['unit']}"
    return f"| {figure['name']} | {median} | {spread} | {ratio} | {figure.get('aim', '')} |"


def plot(benchmark: Benchmark, figures: list[Figure]) -> Path:
    """Bars of the medians with all values as dots, one panel a unit."""
    units = list(dict.fromkeys(figure["unit"] for figure in figures))
    height = sum(0.45 * sum(figure["unit"] == unit for figure in figures) + 0.9 for unit in units)
    drawing, panels = pyplot.subplots(
        len(units), 1, figsize=(9, height), squeeze=False,
        height_ratios=[sum(figure["unit"] == unit for figure in figures) + 1 for unit in units],
    )  # fmt: skip
    for panel, unit in zip(panels[:, 0], units, strict=True):
        some = [figure for figure in figures if figure["unit"] == unit][::-1]
        places = range(len(some))
        panel.barh(places, [figure["median"] for figure in some], color="#2f6f8f", height=0.55)
        panel.set_yticks(places, [figure["name"] for figure in some])
        for place, figure in enumerate(some):
            panel.plot(
                figure["values"], [place] * len(figure["values"]), "o", color="#12303f", markersize=3
            )
        panel.set_xlabel(unit)
        panel.spines[["top", "right"]].set_visible(False)
    drawing.tight_layout()
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


def document(results: dict[str, list[Figure]]) -> str:
    """The text of docs/benchmarks.md."""
    parts = [
        "# Benchmarks\n",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}. Machine: {machine()}; virtual and "
        "shared, so trust CPU time and ratios more than wall time. Bold is the median, then smallest and "
        "largest run.\n",
    ]
    for benchmark in BENCHMARKS:
        figures = results.get(benchmark.script)
        if not figures:
            continue
        parts += [
            f"## {benchmark.title}\n",
            benchmark.text + "\n",
            f"`python tests/bench/{benchmark.script}.py`\n",
            "| figure | median | spread | against the peer | aim |\n|---|---|---|---|---|\n"
            + "\n".join(map(row, figures))
            + "\n",
            f"![{benchmark.title}](images/bench-{benchmark.script}.png)\n",
        ]
    return "\n".join(parts)


def main() -> int:
    """Run the chosen benchmarks; the others keep their last figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="scripts to run, separated by commas")
    parser.add_argument("--quick", action="store_true", help="shorter runs, for a look; writes no document")
    arguments = parser.parse_args()
    only = [name for name in arguments.only.split(",") if name]
    RESULTS.mkdir(parents=True, exist_ok=True)
    results: dict[str, list[Figure]] = {}
    for benchmark in BENCHMARKS:
        kept = RESULTS / f"{benchmark.script}.json"
        if only and benchmark.script not in only:
            if kept.exists():
                results[benchmark.script] = json.loads(kept.read_text())
            continue
        print(f"\n== {benchmark.title}", flush=True)
        figures = []
        for figure in figures_of(benchmark, arguments.quick):
            figures.append(figure)
            print("  " + row(figure).strip("| ").replace(" | ", "  "), flush=True)
        results[benchmark.script] = figures
        if not arguments.quick:
            kept.write_text(json.dumps(figures))
            plot(benchmark, figures)
    if not arguments.quick:
        DOCUMENT.write_text(document(results))
        print(f"\nwrote {DOCUMENT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
