"""``callcluster get``: the objects of a running ``callcluster up``."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click
import yaml

from callcluster_operator.cli.columns import table
from callcluster_operator.cli.settings import Settings
from callcluster_operator.local.control_socket import NotRunningError, StateDirectoryError, find

_PLURALS = {
    "cc": "callclusters",
    "callcluster": "callclusters",
    "room": "rooms",
    "pod": "pods",
} | {plural: plural for plural in ("callclusters", "rooms", "pods")}


@click.command()
@click.argument("kind", required=False, type=click.Choice(sorted(_PLURALS)), metavar="[KIND]")
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Choice(["wide", "yaml", "json"]), help="How to print.")
@click.option("--port", type=int, help="Of the running instance, where there are several.")
@click.pass_obj
def get(
    settings: Settings, kind: str | None, name: str | None, output: str | None, port: int | None
) -> None:
    """Show what runs: KIND is callclusters, rooms or pods; both of the first two where it is left out."""
    try:
        instance = find(settings.state_base, port)
        plurals = [_PLURALS[kind]] if kind else ["callclusters", "rooms"]
        found = {
            plural: [each for each in instance.objects(plural) if name in (None, each["metadata"]["name"])]
            for plural in plurals
        }
    except (NotRunningError, StateDirectoryError) as error:
        raise click.ClickException(str(error)) from None
    objects = [each for listed in found.values() for each in listed]
    if name is not None and not objects:
        raise click.ClickException(f"there is no {kind} {name}; look at: callcluster get {kind}")
    if output in ("yaml", "json"):
        shown = objects[0] if name is not None else {"apiVersion": "v1", "kind": "List", "items": objects}
        click.echo(
            json.dumps(shown, indent=2) if output == "json" else yaml.safe_dump(shown, sort_keys=False)
        )
        return
    now = datetime.now(UTC)
    tables = [
        table(plural, listed, wide=output == "wide", now=now) for plural, listed in found.items() if listed
    ]
    click.echo("\n\n".join(tables) or "nothing yet")
