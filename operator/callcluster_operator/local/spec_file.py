"""Reads the YAML file that ``callcluster up`` follows: the same objects that a cluster takes."""

from __future__ import annotations

import base64
import difflib
import re
import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml

from callcluster_operator.api.parse import Problem, parse_callcluster, parse_room
from callcluster_operator.objects import API_VERSION, CALL_CLUSTER, ROOM, SECRET, Object

NAMESPACE = "default"
"""Of objects that name none."""
_KINDS = {
    (CALL_CLUSTER.kind, API_VERSION): CALL_CLUSTER,
    (ROOM.kind, API_VERSION): ROOM,
    (SECRET.kind, "v1"): SECRET,
}
_FIELDS = {
    CALL_CLUSTER.kind: ("spec",),
    ROOM.kind: ("spec",),
    SECRET.kind: ("data", "stringData", "type", "immutable"),
}
_META_FIELDS = ("name", "namespace", "labels", "annotations")
_SERVER_FIELDS = frozenset(
    {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""What ``kubectl get -o yaml`` adds to the metadata; it means nothing here."""
_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class SpecFileError(Exception):
    """The file can't be used; the message is one line: file, line, field, what is wrong, how to mend it."""


@dataclass(frozen=True)
class SpecFile:
    """What the file says."""

    callcluster: Object
    others: tuple[Object, ...]

    @property
    def namespace(self) -> str:
        """The namespace that all objects are in."""
        return str(self.callcluster["metadata"]["namespace"])

    @property
    def objects(self) -> tuple[Object, ...]:
        """Everything; Secrets come first, since the others name them."""
        return (*sorted(self.others, key=lambda obj: obj["kind"] != "Secret"), self.callcluster)


def parse(text: str, name: str) -> SpecFile:
    """Read a file's text.

    Args:
        text: YAML, one or more documents.
        name: how messages call the file.

    Raises:
        SpecFileError: it can't be used.
    """
    found: list[Object] = []
    for node in _documents(text, name):
        obj = _object(node, name)
        for problem in _problems(obj):
            raise _error(name, _line(node, _steps(problem.field)), problem.field, problem.message)
        found.append(obj)
    callclusters = [obj for obj in found if obj["kind"] == CALL_CLUSTER.kind]
    if len(callclusters) != 1:
        raise SpecFileError(
            f"{name}: holds {len(callclusters)} objects of kind CallCluster; this machine runs exactly one"
        )
    namespaces = {obj["metadata"]["namespace"] for obj in found}
    if len(namespaces) != 1:
        raise SpecFileError(f"{name}: the objects are in several namespaces; put all in one")
    keys = [(obj["kind"], obj["metadata"]["name"]) for obj in found]
    for kind, each in keys:
        if keys.count((kind, each)) > 1:
            raise SpecFileError(f"{name}: {kind} {each} is there twice; give each a name of its own")
    return SpecFile(callclusters[0], tuple(obj for obj in found if obj is not callclusters[0]))


def _problems(obj: Object) -> Iterator[Problem]:
    """What an API server with our CRDs would refuse, unknown fields included."""
    if obj["kind"] == SECRET.kind:
        return
    spec = parse_callcluster(obj) if obj["kind"] == CALL_CLUSTER.kind else parse_room(obj)
    if isinstance(spec, tuple):
        yield from spec
    else:
        yield from _unknown_fields(obj["spec"], msgspec.to_builtins(spec), "spec")


def _unknown_fields(written: Any, known: Any, field: str) -> Iterator[Problem]:
    if isinstance(written, dict):
        for key, value in written.items():
            if key in known:
                yield from _unknown_fields(value, known[key], f"{field}.{key}")
            else:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                yield Problem(f"{field}.{key}", f"is no field; {hint}")
    elif isinstance(written, list):
        for index, value in enumerate(written):
            yield from _unknown_fields(value, known[index], f"{field}[{index}]")


def _documents(text: str, name: str) -> Iterator[yaml.MappingNode]:
    try:
        for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
            if not isinstance(node, yaml.MappingNode):
                raise _error(
                    name, node.start_mark.line, "", "is not an object: write apiVersion, kind, ..."
                )
            _check_nodes(node, name)
            yield node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _error(name, mark.line if mark else 0, "", error.problem or "is not YAML") from None
    except RecursionError:
        raise SpecFileError(f"{name}: is nested too deeply") from None
    except yaml.YAMLError as error:
        raise SpecFileError(f"{name}: is not YAML: {' '.join(str(error).split())}") from None


def _object(node: yaml.MappingNode, name: str) -> Object:
    try:
        obj = _construct(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise _error(name, mark.line if mark else 0, "", error.problem or "is not YAML") from None
    except RecursionError:
        raise SpecFileError(f"{name}: is nested too deeply") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        # PyYAML lets out whatever its constructors of dates, numbers and tagged values come upon.
        raise _error(
            name, node.start_mark.line, "", "holds a date, number or tag that can't be read; quote texts"
        ) from None
    line = node.start_mark.line
    if not any((obj.get("kind"), obj.get("apiVersion")) == known for known in _KINDS):
        known = ", ".join(f"{kind} ({version})" for kind, version in _KINDS)
        raise _error(
            name,
            line,
            "kind",
            f"{_brief(obj.get('kind'))} ({_brief(obj.get('apiVersion'))}) is not known here; use {known}",
        )
    obj = _known_fields(obj, node, name)
    if obj["kind"] == "Secret":
        return _secret(obj, node, name)
    if not isinstance(obj.setdefault("spec", {}), dict):
        raise _error(name, _line(node, ("spec",)), "spec", "must be an object")
    return obj


def _brief(value: object) -> str:
    """A value of the file, however much aliases have made of it."""
    short = reprlib.Repr()
    short.maxlevel = 2
    return value[:64] if isinstance(value, str) else short.repr(value)


def _known_fields(obj: Object, node: yaml.MappingNode, name: str) -> Object:
    """The object without what only a server writes; metadata is checked as an API server does."""
    known = ("apiVersion", "kind", "metadata", *_FIELDS[obj["kind"]])
    for field in obj:
        if field not in (*known, "status"):
            hint = f"is no field; known are {', '.join(known)}"
            raise _error(name, _line(node, (field,)), field, hint)
    meta = obj.get("metadata")
    if not isinstance(meta, dict) or "name" not in meta:
        raise _error(name, node.start_mark.line, "metadata.name", "is missing")
    meta = {"namespace": NAMESPACE} | {
        key: value for key, value in meta.items() if value is not None and key not in _SERVER_FIELDS
    }
    for key, value in meta.items():
        if problem := _metadata_problem(key, value):
            raise _error(name, _line(node, ("metadata", key)), f"metadata.{key}", problem)
    return {key: value for key, value in obj.items() if key in known} | {"metadata": meta}


def _metadata_problem(key: str, value: Any) -> str | None:
    if key == "name" and not (isinstance(value, str) and _NAME.fullmatch(value)):
        return "must be a text of at most 253 lower case letters, digits, '-' and '.'"
    if key == "namespace" and not (isinstance(value, str) and _NAMESPACE.fullmatch(value)):
        return "must be a text of at most 63 lower case letters, digits and '-'"
    if key in ("labels", "annotations") and not (
        isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    ):
        return "must hold texts by name; put numbers in quotes"
    return None if key in _META_FIELDS else f"is no field; known are {', '.join(_META_FIELDS)}"


def _secret(obj: Object, node: yaml.MappingNode, name: str) -> Object:
    """As an API server stores it: ``stringData`` becomes ``data``."""
    written = obj.pop("stringData", None) or {}
    data = obj.get("data") or {}
    for field, values in (("stringData", written), ("data", data)):
        for key, value in values.items() if isinstance(values, dict) else [(None, None)]:
            if not isinstance(key, str) or not isinstance(value, str):
                raise _error(name, _line(node, (field,)), field, "must hold texts by name")
    for key, value in data.items():
        try:
            base64.b64decode(value, validate=True)
        except ValueError:
            raise _error(
                name, _line(node, ("data", key)), f"data.{key}", "is not base64; use stringData"
            ) from None
    obj["data"] = data | {key: base64.b64encode(value.encode()).decode() for key, value in written.items()}
    return obj


def _construct(node: yaml.MappingNode) -> Object:
    loader = yaml.SafeLoader("")
    try:
        built: Object = loader.construct_document(node)
        return built
    finally:
        loader.dispose()


def _check_nodes(root: yaml.Node, name: str) -> None:
    """Refuse what YAML allows and JSON does not: it could not be stored in a cluster."""
    visited, todo = set(), [root]
    while todo:
        node = todo.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.ScalarNode) and any(
            char == "\0" or "\ud800" <= char <= "\udfff" for char in node.value
        ):
            raise _error(name, node.start_mark.line, "", "a text holds a character that is none")
        if isinstance(node, yaml.SequenceNode):
            todo += node.value
        elif isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
                    text = "a field's name must be a text; put it in quotes"
                    raise _error(name, key.start_mark.line, "", text)
                if key.value in seen:
                    raise _error(name, key.start_mark.line, key.value, "is there twice; remove one")
                seen.add(key.value)
                todo.append(value)


def _line(node: yaml.Node, path: Sequence[str | int]) -> int:
    """Line of the deepest part of ``path`` that the file has."""
    line = node.start_mark.line
    for step in path:
        if isinstance(node, yaml.MappingNode):
            entry = next(((key, value) for key, value in node.value if key.value == step), None)
            if entry is None:
                break
            line, node = entry[0].start_mark.line, entry[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
        else:
            break
    return int(line)


def _steps(field: str) -> list[str | int]:
    """``spec.list[2].name`` as steps."""
    return [int(step) if step.isdecimal() else step for step in re.findall(r"[^.\[\]]+", field)]


def _error(name: str, line: int, field: str, message: str) -> SpecFileError:
    return SpecFileError(f"{name}:{line + 1}: {field + ': ' if field else ''}{message}")
