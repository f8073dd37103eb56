"""``callcluster up``: a call cluster on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import click
from callcluster_common import open_files

from callcluster_operator.api.parse import parse_callcluster
from callcluster_operator.cli import INTERRUPTED
from callcluster_operator.cli.settings import Settings
from callcluster_operator.local.check import check
from callcluster_operator.local.control_socket import StateDirectoryError
from callcluster_operator.local.display import said_by
from callcluster_operator.local.follow import follow, load
from callcluster_operator.local.programs import component_of
from callcluster_operator.local.report import report
from callcluster_operator.local.runtime import Machine, Options, Runtime, RuntimeStartError, adapted
from callcluster_operator.local.spec_file import SpecFile, SpecFileError, parse
from callcluster_operator.objects import Object

EXAMPLE = Path("examples/local.yaml")
BUILT_IN = "default.yaml"


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=3000, show_default=True, help="Of signaling."
)
@click.option(
    "--turn-port", type=int, help="Of the first TURN server, instead of the file's listeningPort."
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(["redis", "turn", "sfu"]),
    help="Do as if its program were not installed.",
)
@click.option("--check", "is_check", is_flag=True, help="Place a call by itself, report and end.")
@click.option("--relay", is_flag=True, help="With --check: place a relayed call only.")
@click.option("--logs", is_flag=True, help="Print what the processes print.")
@click.pass_obj
def up(
    settings: Settings,
    file: Path | None,
    port: int,
    turn_port: int | None,
    without: tuple[str, ...],
    is_check: bool,
    relay: bool,
    logs: bool,
) -> None:
    """Run the CallCluster and Rooms of FILE on this machine, and follow its edits.

    Without FILE it is examples/local.yaml, or the same built in. Ctrl-C ends everything.
    """
    if relay and not is_check:
        raise click.UsageError("--relay goes with --check")
    logging.basicConfig(level=logging.WARNING, format="  %(message)s")
    open_files.allow_many()
    if file is None and EXAMPLE.is_file():
        file = EXAMPLE
    options = Options(port, turn_port, frozenset(without))
    try:
        spec = load(file) if file is not None else built_in()
        _check_options(spec, options)
        machine = Machine(settings.search_path, settings.state_base)
        code = asyncio.run(_up(file, spec, options, machine, is_check=is_check, relay=relay, logs=logs))
    except (SpecFileError, StateDirectoryError, RuntimeStartError) as error:
        click.echo(f"callcluster up: {error}", err=True)
        code = 2
    sys.exit(code)


def _check_options(spec: SpecFile, options: Options) -> None:
    problems = parse_callcluster(adapted(spec, options).callcluster)
    if isinstance(problems, tuple):
        # The file alone was found good.
        at = problems[0].field if options.turn_port is None else f"--turn-port {options.turn_port}"
        raise RuntimeStartError(f"{at}: {problems[0].message}")


def built_in() -> SpecFile:
    """What runs where no file is given."""
    text = resources.files("callcluster_operator.local").joinpath(BUILT_IN).read_text()
    return parse(text, BUILT_IN)


async def _up(
    file: Path | None,
    spec: SpecFile,
    options: Options,
    machine: Machine,
    *,
    is_check: bool,
    relay: bool,
    logs: bool,
) -> int:
    loop = asyncio.get_running_loop()
    asked_to_end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked_to_end.set)
    click.echo(f"callcluster up: {file or 'the built-in deployment'}")
    code = 0
    async with Runtime(spec, options, machine, _print_line if logs else _ignore_line) as runtime:
        tasks: set[asyncio.Task[Any]] = {
            asyncio.create_task(asked_to_end.wait()),
            asyncio.create_task(runtime.failed()),
            asyncio.create_task(report(runtime, click.echo, with_link=not is_check)),
        }
        checking = None
        if is_check:
            checking = asyncio.create_task(check(runtime, click.echo, relay=relay))
            tasks.add(checking)
        elif file is not None:
            tasks.add(asyncio.create_task(follow(file, runtime, click.echo)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                ended = task.result()
                code = ended if task is checking and isinstance(ended, int) else code
            if asked_to_end.is_set():
                click.echo("\nends ...")
                code = INTERRUPTED if is_check else 0
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(tasks)
    return code


def _ignore_line(pod: Object, line: str) -> None:
    """Say nothing."""


def _print_line(pod: Object, line: str) -> None:
    click.echo(f"  {component_of(pod):<10} | {said_by(line)}")
