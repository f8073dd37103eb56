"""Specs are read as the API server reads them."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
import yaml
from callcluster_operator.api.parse import parse_callcluster, parse_room
from callcluster_operator.api.v1alpha1 import CallClusterSpec, RoomSpec, Spec
from kit.apiserver import ROOT
from kit.specs import BAD_CALLCLUSTERS, BAD_ROOMS, GOOD_CALLCLUSTERS, GOOD_ROOMS
from kit.specs import callcluster as callcluster_of
from kit.specs import room as room_of


def schema_of(name: str) -> dict[str, Any]:
    version = yaml.safe_load((ROOT / "crds" / f"{name}.yaml").read_text())["spec"]["versions"][0]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def with_defaults(schema: dict[str, Any], value: Any) -> Any:
    """What the API server makes of a value."""
    if isinstance(value, dict):
        value = dict(value)
        for name, field in schema.get("properties", {}).items():
            if name not in value and "default" in field:
                value[name] = copy.deepcopy(field["default"])
            if name in value:
                value[name] = with_defaults(field, value[name])
    return value


@pytest.mark.parametrize("case", GOOD_CALLCLUSTERS)
def test_a_good_callcluster_is_read(case: str) -> None:
    spec = parse_callcluster(callcluster_of("demo", "calls", GOOD_CALLCLUSTERS[case]))
    assert isinstance(spec, CallClusterSpec)


@pytest.mark.parametrize("case", BAD_CALLCLUSTERS)
def test_a_bad_callcluster_is_told_the_same_as_by_the_api_server(case: str) -> None:
    given, message = BAD_CALLCLUSTERS[case]
    problems = parse_callcluster(callcluster_of("demo", "calls", given))
    assert isinstance(problems, tuple), problems
    assert any(message in str(problem) for problem in problems), problems


@pytest.mark.parametrize("case", GOOD_ROOMS)
def test_a_good_room_is_read(case: str) -> None:
    assert isinstance(parse_room(room_of("r-1", "calls", GOOD_ROOMS[case])), RoomSpec)


@pytest.mark.parametrize("case", BAD_ROOMS)
def test_a_bad_room_is_told_the_same_as_by_the_api_server(case: str) -> None:
    given, message = BAD_ROOMS[case]
    problems = parse_room(room_of("r-1", "calls", given))
    assert isinstance(problems, tuple), problems
    assert any(message in str(problem) for problem in problems), problems


@pytest.mark.parametrize("name", ["0-digit-first", "with.dot", "x" * 46, "ends-"])
def test_a_name_that_can_name_no_service_is_a_problem(name: str) -> None:
    problems = parse_callcluster(callcluster_of(name, "calls", {}))
    assert isinstance(problems, tuple)
    assert problems[0].field == "metadata.name"


@pytest.mark.parametrize(
    ("name", "given", "kind"),
    [
        ("callclusters", {"domain": "calls.example.org"}, CallClusterSpec),
        ("rooms", {"clusterRef": {"name": "cc"}}, RoomSpec),
    ],
)
def test_defaults_are_those_of_the_schema(name: str, given: dict[str, Any], kind: type[Spec]) -> None:
    by_server = msgspec.convert(with_defaults(schema_of(name), given), kind)
    assert by_server == msgspec.convert(given, kind)


@pytest.mark.parametrize(("name", "kind"), [("callclusters", CallClusterSpec), ("rooms", RoomSpec)])
def test_fields_and_bounds_are_those_of_the_schema(name: str, kind: type[Spec]) -> None:
    ours = msgspec.json.schema(kind)
    assert compared(schema_of(name), {}) == compared(ours, ours["$defs"])


def compared(schema: dict[str, Any], defs: dict[str, Any]) -> Any:
    """Fields, enums and bounds of a schema, whichever way it writes them."""
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) == 1:
        return compared(options[0], defs)
    if "$ref" in schema:
        return compared(defs[schema["$ref"].rsplit("/", 1)[1]], defs)
    if "properties" in schema:
        return {name: compared(field, defs) for name, field in sorted(schema["properties"].items())}
    if "items" in schema:
        return [compared(schema["items"], defs), schema.get("maxItems"), schema.get("minItems")]
    bounds = ("minimum", "maximum", "enum", "pattern", "minLength")
    kept = {key: schema[key] for key in bounds if key in schema and "additionalProperties" not in schema}
    if "enum" in kept:
        kept["enum"] = sorted(kept["enum"])
    return kept


@pytest.mark.parametrize("spec", [None, [], "x", {"domain": 1}, {"domain": "a", "turn": []}])
def test_a_spec_of_another_shape_is_a_problem_and_no_crash(spec: Any) -> None:
    obj = {"metadata": {"name": "demo"}, "spec": spec}
    assert isinstance(parse_callcluster(obj), tuple)
    assert isinstance(parse_room(obj), tuple)
