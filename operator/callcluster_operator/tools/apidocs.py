"""Writes ``docs/api.md`` from ``crds/`` and the list of conditions; ``--check`` fails where it is stale."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from callcluster_operator.api.conditions import CONDITIONS, REASONS

ROOT = Path(__file__).resolve().parents[3]
TARGET = ROOT / "docs" / "api.md"
KINDS = ("callclusters", "rooms")

HEAD = """\
# API reference

`callcluster.dev/v1alpha1`. Generated from `crds/` by `python -m callcluster_operator.tools.apidocs`; change
the descriptions there.

Every rule below is checked by the API server, which refuses an object that breaks one and says how to mend
it. What it can't check becomes a [condition](#conditions). The operator never writes a spec. Durations are
whole seconds.
"""


def main(arguments: list[str]) -> int:
    """Write the page, or compare it with ``--check``; returns the exit code."""
    text = render()
    if arguments == ["--check"]:
        if TARGET.exists() and TARGET.read_text() == text:
            return 0
        print("docs/api.md is stale: run python -m callcluster_operator.tools.apidocs", file=sys.stderr)
        return 1
    if arguments:
        print("usage: python -m callcluster_operator.tools.apidocs [--check]", file=sys.stderr)
        return 2
    TARGET.write_text(text)
    return 0


def render() -> str:
    """The page."""
    parts = [HEAD]
    for name in KINDS:
        definition = yaml.safe_load((ROOT / "crds" / f"{name}.yaml").read_text())
        parts.append("\n".join(_kind(definition)))
    parts.append("\n".join(_conditions()))
    return "\n".join(parts).rstrip() + "\n"


def _kind(definition: dict[str, Any]) -> Iterator[str]:
    spec, version = definition["spec"], definition["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    names = spec["names"]
    short = ", ".join(f"`{name}`" for name in names["shortNames"])
    yield f"## {names['kind']}\n"
    yield f"{schema['description']}\n"
    yield f"Short name {short}, category `{names['categories'][0]}`.\n"
    for part in ("spec", "status"):
        body = schema["properties"][part]
        yield f"### {names['kind']}.{part}\n"
        if "description" in body:
            yield f"{body['description']}\n"
        yield "| field | type | default | what it is |"
        yield "|---|---|---|---|"
        yield from _rows(body, "")
        yield ""
    rules = list(_rules(schema, ""))
    if rules:
        yield f"### Rules of {names['kind']}\n"
        yield from (f"- {rule}" for rule in rules)
        yield ""


def _rows(schema: dict[str, Any], path: str) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        at = f"{path}{name}"
        default = "required" if name in required and not path.endswith("[].") else _default(field)
        yield f"| `{at}` | {_type(field)} | {default} | {_cell(field.get('description', ''))} |"
        if "properties" in field:
            yield from _rows(field, f"{at}.")
        elif "properties" in field.get("items", {}):
            yield from _rows(field["items"], f"{at}[].")


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    kind = field.get("type", "integer or string")
    if kind == "array":
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        return "map to integer or string"
    low, high = field.get("minimum"), field.get("maximum")
    return f"{kind}, {low} to {high}" if low is not None and high is not None else kind


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    return "" if default is None or default == {} else f"`{json.dumps(default).strip(chr(34))}`"


def _rules(schema: dict[str, Any], path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        at = (path + rule.get("fieldPath", "")).lstrip(".")
        yield f"`{at}`: {rule['message']}" if at else rule["message"]
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}")
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _conditions() -> Iterator[str]:
    yield "## Conditions\n"
    yield "A condition carries the generation of the spec that it was judged by (`observedGeneration`).\n"
    yield "| kind | condition | true means |"
    yield "|---|---|---|"
    for kind, meanings in CONDITIONS.items():
        for name, meaning in meanings.items():
            yield f"| {kind} | `{name}` | {_cell(meaning)} |"
    yield "\n### Reasons\n"
    yield "| reason | what it means |"
    yield "|---|---|"
    yield from (f"| `{reason}` | {_cell(meaning)} |" for reason, meaning in REASONS.items())


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
