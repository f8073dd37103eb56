"""The commands: a call cluster on this machine, and what one asks of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click
from callcluster_common.environment import Environment

from callcluster_operator.cli.get import get
from callcluster_operator.cli.probe import probe
from callcluster_operator.cli.settings import Settings
from callcluster_operator.cli.token import token
from callcluster_operator.cli.up import up


def read(variables: Mapping[str, str]) -> Settings:
    """The settings of all commands, from the environment."""
    env = Environment(variables)
    runtime_directory = env.path("XDG_RUNTIME_DIR")
    return Settings(
        search_path=env.text("PATH", os.defpath),
        # Memory where the system has such a place: keys then never reach a disk.
        state_base=runtime_directory if runtime_directory and runtime_directory.is_dir() else _temporary(),
        jwt_secret=env.text("JWT_SECRET", "") or None,
    )


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="callcluster-operator")
@click.pass_context
def callcluster(context: click.Context) -> None:
    """End-to-end encrypted calls: run them here, and look at them."""
    context.obj = read(os.environ)


for command in (up, get, token, probe):
    callcluster.add_command(command)
