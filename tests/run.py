"""Runs the tiers that this machine can run, and ends with one table.

A tier that can't run says why and counts as skipped, never as passed. A tier that ran no test has failed.
Most tests wait for processes rather than compute, so the files of a tier run several at a time, and the
tiers that wait most run two at a time, each line of theirs marked with its tier.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "test"
BIN = Path(sys.executable).parent
WEB = ROOT / "images" / "signaling" / "web"
PLANE = ROOT / "images" / "sfu" / "plane"
LOAD = ROOT / "tests" / "bench" / "load"
CARGO_COUNTS = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)

Need = Callable[[], str | None]


@dataclass
class Outcome:
    """What one tier came to."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Tier:
    """A group of tests with the same needs."""

    name: str
    proves: str
    run: Callable[[Tier], Outcome]
    needs: tuple[Need, ...] = ()
    waits: bool = False
    """Whether its tests wait more than they compute; such tiers run at the end, two at a time."""


def program(*names: str, hint: str) -> Need:
    """Need one of these programs on PATH."""

    def missing() -> str | None:
        if any(shutil.which(name) for name in names):
            return None
        return f"{names[0]} is not installed ({hint})"

    return missing


def rust() -> str | None:
    """Need a cargo that has a toolchain to run."""
    if missing := program("cargo", hint="rustup, or your distribution's, 1.89 or newer")():
        return missing
    asked = subprocess.run(["cargo", "--version"], capture_output=True, text=True)
    return f"cargo does not run: {' '.join(asked.stderr.split())}" if asked.returncode else None


def look_for_apiserver() -> str | None:
    """Find, or build, kube-apiserver and etcd, in one of the ways that tests/kit/apiserver.py knows."""
    from kit.apiserver import unavailable  # imported late: the static tier must run without the kit

    return unavailable()


def apiserver() -> str | None:
    """Need what has been looked for since the start."""
    return APISERVER_SEARCH[0].result()


def commands(*argvs: Sequence[str]) -> Callable[[Tier], Outcome]:
    """Each command is one test."""

    def run(tier: Tier) -> Outcome:
        outcome = Outcome()
        for argv in argvs:
            done = subprocess.run(
                argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            label = " ".join(Path(word).name if word.startswith(str(BIN)) else word for word in argv)
            print(f"  {'ok  ' if done.returncode == 0 else 'FAIL'} {label}", flush=True)
            if done.returncode == 0:
                outcome.passed += 1
            else:
                outcome.failed += 1
                print(done.stdout, flush=True)
        return outcome

    return run


def pytest(*args: str) -> Callable[[Tier], Outcome]:
    """Run pytest, and read what it counted."""

    def run(tier: Tier) -> Outcome:
        CACHE.mkdir(parents=True, exist_ok=True)
        report = CACHE / f"{tier.name}.xml"
        report.unlink(missing_ok=True)
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *args, *EXTRA],
            cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                print(f"{tier.name:>9} | {line}" if tier.waits else line, end="", flush=True)
        outcome = Outcome()
        if not report.exists():
            outcome.failed = 1
            outcome.reasons["pytest wrote no report"] += 1
            return outcome
        for case in ElementTree.parse(report).iter("testcase"):
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                outcome.failed += 1
            elif skipped is not None:
                outcome.skipped += 1
                outcome.reasons[skipped.get("message", "")] += 1
            else:
                outcome.passed += 1
        if outcome.passed + outcome.failed + outcome.skipped == 0:
            outcome.failed = 1
            outcome.reasons["no test ran"] += 1
        return outcome

    return run


def node_test(*paths: str) -> Callable[[Tier], Outcome]:
    """Run node's own test runner over the browser code that needs no browser."""

    def run(tier: Tier) -> Outcome:
        files = sorted(str(p.relative_to(ROOT)) for pattern in paths for p in ROOT.glob(pattern))
        done = subprocess.run(
            ["node", "--test", "--test-reporter=tap", *files],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        counts = {"pass": 0, "fail": 0, "skipped": 0}
        for line in done.stdout.splitlines():
            words = line.split()
            if len(words) == 3 and words[0] == "#" and words[1] in counts:
                counts[words[1]] = int(words[2])
        if done.returncode or not counts["pass"]:
            print(done.stdout, flush=True)
            counts["fail"] = max(counts["fail"], 1)
        print(f"  node --test: {counts['pass']} passed, {counts['fail']} failed", flush=True)
        return Outcome(counts["pass"], counts["fail"], counts["skipped"])

    return run


def cargo(crate: Path) -> Callable[[Tier], Outcome]:
    """Format, lint and tests of a crate; each of cargo's tests counts."""

    def run(tier: Tier) -> Outcome:
        outcome = Outcome()
        for words in (
            ("fmt", "--check"),
            ("clippy", "--quiet", "--locked", "--all-targets", "--", "-D", "warnings"),
            ("test", "--quiet", "--locked"),
        ):
            done = subprocess.run(
                ["cargo", *words],
                cwd=crate, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            counts = [tuple(map(int, found)) for found in CARGO_COUNTS.findall(done.stdout)]
            outcome.passed += sum(passed for passed, _, _ in counts)
            outcome.failed += sum(failed for _, failed, _ in counts)
            outcome.skipped += sum(ignored for _, _, ignored in counts)
            if words[0] != "test" and not done.returncode:
                outcome.passed += 1
            elif done.returncode and not any(failed for _, failed, _ in counts):
                outcome.failed += 1
            said = f"{crate.relative_to(ROOT)}: cargo {' '.join(words)}"
            print(f"  {'FAIL' if done.returncode else 'ok  '} {said}", flush=True)
            if done.returncode:
                print(done.stdout, flush=True)
        return outcome

    return run


def typecheck_browser_code(tier: Tier) -> Outcome:
    """Check the JSDoc types of the web client with tsc."""
    home = ROOT / ".cache" / "typescript"
    tsc = home / "node_modules" / ".bin" / "tsc"
    wanted = json.loads((WEB / "package.json").read_text())["devDependencies"]["typescript"]
    installed = home / "node_modules" / "typescript" / "package.json"
    if not (installed.exists() and json.loads(installed.read_text())["version"] == wanted):
        home.mkdir(parents=True, exist_ok=True)
        quiet = ("--silent", "--no-save", "--no-package-lock", "--no-audit", "--no-fund")
        subprocess.run(["npm", "install", *quiet, "--prefix", home, f"typescript@{wanted}"], check=True)
    return commands((str(tsc), "--noEmit", "-p", str(WEB / "tsconfig.json")))(tier)


def no_machine_traces(tier: Tier) -> Outcome:
    """The repository names no machine's paths, and keeps `operator` a plain folder."""
    outcome = Outcome()
    hits = subprocess.run(
        ["git", "grep", "-nIE", r"(^|[^A-Za-z])/(work|farm|root)/", "--", ".", ":!tests/run.py"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip
    problems = [f"a path of one machine: {line}" for line in hits.splitlines()]
    if (ROOT / "operator" / "__init__.py").exists():
        problems.append("operator/__init__.py would shadow Python's own module `operator`")
    for problem in problems:
        print(f"  FAIL {problem}", flush=True)
    outcome.failed, outcome.passed = (1, 0) if problems else (0, 1)
    return outcome


def both(*runs: Callable[[Tier], Outcome]) -> Callable[[Tier], Outcome]:
    """One tier out of several runs."""

    def run(tier: Tier) -> Outcome:
        total = Outcome()
        for part in runs:
            one = part(tier)
            total.passed += one.passed
            total.failed += one.failed
            total.skipped += one.skipped
            total.reasons.update(one.reasons)
        return total

    return run


def files_at_once(count: int) -> tuple[str, ...]:
    """Pytest's options to run this many test files side by side, each file's tests in one process.

    In the order of their names: left to itself, xdist keeps files of one long test for the very end.
    """
    return ("-n", str(count), "--dist", "loadfile", "--no-loadscope-reorder")


REDIS = program("redis-server", hint="Debian: redis-server")
COTURN = program("turnserver", hint="Debian: coturn")
CHROMIUM = program("chromium", "chromium-browser", "google-chrome", hint="Debian: chromium")
NODE = program("node", hint="Debian: nodejs")
BROWSER = [f"tests/browser/{area}" for area in ("app", "sfu", "demo", "attacks", "interop", "sdk", "turn")]
"""Areas whose files take long come first, so that none is left alone at the end."""
FAULTS = "tests/browser/demo/test_faults.py"
EXTRA: list[str] = []
APISERVER_SEARCH: list[Future[str | None]] = []

TIERS = (
    Tier(
        "static",
        "format, lint, types, walls, generated docs",
        both(
            commands(
                (str(BIN / "ruff"), "format", "--check", "--quiet", "."),
                (str(BIN / "ruff"), "check", "--quiet", "."),
                (str(BIN / "mypy"),),
                (str(BIN / "lint-imports"),),
                (sys.executable, "-m", "callcluster_signaling.tools.asyncapi", "--check"),
                (sys.executable, "-m", "callcluster_operator.tools.apidocs", "--check"),
            ),
            no_machine_traces,
        ),
    ),
    Tier(
        "unit",
        "decisions and state machines, with properties",
        # A property tries many examples: on a busy machine that may take minutes.
        pytest("tests/unit", "tests/property", "-n", "2", "--timeout", "300"),
    ),
    Tier(
        "plane",
        "the SFU's packet plane: format, lint, tests against another implementation, the load generator",
        both(cargo(PLANE), cargo(LOAD)),
        (rust,),
    ),
    Tier(
        "types-js",
        "the web client's types",
        typecheck_browser_code,
        (NODE, program("npm", hint="Debian: npm")),
    ),
    Tier(
        "web",
        "the web client's cryptography and protocol, in node",
        node_test("tests/unit/web/**/*.test.*js"),
        (NODE,),
    ),
    Tier(
        "browser",
        "calls in headless Chromium, and fifty calls over faults",
        both(
            # Fifty calls and what stops in them: nothing else may make the machine late meanwhile.
            pytest(FAULTS, "-m", "browser"),
            pytest(*BROWSER, "-m", "browser", f"--ignore={FAULTS}", *files_at_once(3)),
        ),
        (CHROMIUM,),
    ),
    Tier(
        "processes",
        "local runtime, servers and command line as real processes",
        pytest(
            "tests/integration",
            *("-m", "not redis and not coturn and not apiserver and not browser"),
            *files_at_once(3),
        ),
        waits=True,
    ),
    Tier(
        "redis",
        "several signaling servers on one real Redis",
        pytest(
            "tests/integration",
            *("-m", "redis and not coturn and not apiserver and not browser"),
            *files_at_once(3),
        ),
        (REDIS,),
        waits=True,
    ),
    Tier(
        "coturn",
        "the agent and real coturn",
        pytest("tests/integration", "-m", "coturn and not apiserver and not browser", *files_at_once(3)),
        (COTURN,),
        waits=True,
    ),
    # Last: where the programs are not there yet, they are built while the other tiers run.
    Tier(
        "apiserver",
        "the operator against a real kube-apiserver and etcd",
        pytest("tests/integration", "-m", "apiserver and not browser", *files_at_once(3)),
        (apiserver,),
        waits=True,
    ),
)


def table(outcomes: dict[str, Outcome], why: dict[str, str]) -> str:
    """The closing table: tier, what it proves, passed, failed, skipped and why, time."""
    lines = [f"{'tier':<10} {'passed':>6} {'failed':>6} {'skipped':>7} {'time':>6}  what it proves"]
    for tier in TIERS:
        outcome = outcomes.get(tier.name)
        if outcome is None:
            continue
        lines.append(
            f"{tier.name:<10} {outcome.passed:>6} {outcome.failed:>6} {outcome.skipped:>7} "
            f"{outcome.seconds:>5.0f}s  {tier.proves}"
        )
        if tier.name in why:
            lines.append(f"{'':<10} skipped: {why[tier.name]}")
        lines += [f"{'':<10} {count} x {reason}" for reason, count in outcome.reasons.items()]
    return "\n".join(lines)


def main() -> int:
    """Run the chosen tiers.

    Returns:
        0 when nothing failed, 1 otherwise.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="tiers to run, separated by commas: " + ", ".join(t.name for t in TIERS)
    )
    parser.add_argument("pytest_args", nargs="*", help="passed on to pytest, after --")
    arguments = parser.parse_args()
    EXTRA.extend(arguments.pytest_args)
    names = [tier.name for tier in TIERS]
    only = [name for name in arguments.only.split(",") if name]
    if unknown := [name for name in only if name not in names]:
        print(f"no such tier: {', '.join(unknown)}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    # A shell starts what it runs in the background with SIGINT ignored, and tests interrupt processes.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Some containers set this: then each of the hundreds of processes here would compile its modules anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.path.insert(0, str(ROOT / "tests"))
    if not only or "apiserver" in only:
        APISERVER_SEARCH.append(ThreadPoolExecutor(1).submit(look_for_apiserver))
    outcomes: dict[str, Outcome] = {}
    why: dict[str, str] = {}

    def run(tier: Tier) -> None:
        print(f"\n== {tier.name}: {tier.proves}", flush=True)
        started = time.monotonic()
        reason = next((problem for need in tier.needs if (problem := need())), None)
        if reason:
            print(f"  skipped: {reason}", flush=True)
            outcomes[tier.name], why[tier.name] = Outcome(skipped=1), reason
        else:
            outcomes[tier.name] = tier.run(tier)
        outcomes[tier.name].seconds = time.monotonic() - started

    chosen = [tier for tier in TIERS if not only or tier.name in only]
    for tier in chosen:
        if not tier.waits:
            run(tier)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, [tier for tier in chosen if tier.waits]))
    print(f"\n{table(outcomes, why)}\n")
    total = Counter[str]()
    for outcome in outcomes.values():
        total.update(passed=outcome.passed, failed=outcome.failed, skipped=outcome.skipped)
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
