"""``callcluster probe``: places a real encrypted call."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import click


def probe_command(url: str, *, relay: bool, as_json: bool, more: Sequence[str] = ()) -> list[str]:
    """How the probe is started. It has dependencies of its own, so it is another program."""
    command = [sys.executable, "-m", "callcluster_probe", "--url", url]
    if relay:
        command.append("--relay")
    if as_json:
        command.append("--json")
    return [*command, *more]


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--url", default="ws://localhost:3000", show_default=True, help="Of the signaling server.")
@click.option("--relay", is_flag=True, help="Allow nothing but relayed media.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
@click.argument("more", nargs=-1, type=click.UNPROCESSED)
def probe(url: str, relay: bool, as_json: bool, more: tuple[str, ...]) -> None:
    """Place an encrypted call between two headless members, and report; MORE goes to the probe.

    Ends with the probe's exit code.
    """
    command = probe_command(url, relay=relay, as_json=as_json, more=more)
    sys.exit(subprocess.run(command, check=False).returncode)
