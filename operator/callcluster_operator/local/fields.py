"""Server-side apply on plain data: who said which field, and what follows when they stop saying it.

The rules are those of the Kubernetes API server, with the list keys of the kinds that CallCluster uses
written down here instead of read from a schema. A list that is not named here is replaced as a whole.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

Key = tuple[Any, ...]
Path = tuple[str | Key, ...]
"""Steps into an object: a field name, or the key of a list item (``("key", field, value, ...)``)."""

_LIST_KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "conditions": (("type",),),
    "containers": (("name",),),
    "env": (("name",),),
    "imagePullSecrets": (("name",),),
    "initContainers": (("name",),),
    "ownerReferences": (("uid",),),
    # Containers and Services use the same word for different lists.
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "volumeMounts": (("mountPath",),),
    "volumes": (("name",),),
}
_SETS = frozenset({"finalizers"})
_KEY_DEFAULTS = {"protocol": "TCP"}


def _item_key(field: str, item: object) -> Key | None:
    if field in _SETS:
        return ("value", item)
    if not isinstance(item, dict):
        return None
    for names in _LIST_KEYS.get(field, ()):
        if names[0] in item:
            return ("key", *((name, item.get(name, _KEY_DEFAULTS.get(name))) for name in names))
    return None


def _item_keys(field: str | Key, items: list[Any]) -> list[Key] | None:
    """Keys of all items, or ``None`` where the list is one value."""
    if not isinstance(field, str) or (field not in _LIST_KEYS and field not in _SETS):
        return None
    keys = [_item_key(field, item) for item in items]
    if any(key is None for key in keys) or len(set(keys)) != len(keys):
        return None
    return [key for key in keys if key is not None]


def owned(value: Any, field: str | Key = "", at: Path = ()) -> frozenset[Path]:
    """The fields that a manifest speaks for: its leaves, and the items of its keyed lists."""
    if isinstance(value, dict) and value:
        paths: frozenset[Path] = frozenset({at}) if isinstance(field, tuple) else frozenset()
        return paths.union(*(owned(item, name, (*at, name)) for name, item in value.items()))
    if isinstance(value, list) and (keys := _item_keys(field, value)):
        return frozenset().union(
            *(owned(item, key, (*at, key)) for key, item in zip(keys, value, strict=True))
        )
    return frozenset({at})


def merge(current: Any, desired: Any, field: str | Key = "") -> Any:
    """``current`` with everything that ``desired`` says; neither is changed."""
    if isinstance(current, dict) and isinstance(desired, dict):
        merged = dict(current)
        for name, value in desired.items():
            merged[name] = merge(current[name], value, name) if name in current else copy.deepcopy(value)
        return merged
    if isinstance(current, list) and isinstance(desired, list):
        keys, wanted = _item_keys(field, current), _item_keys(field, desired)
        if keys is not None and wanted is not None:
            items = dict(zip(keys, current, strict=True))
            for key, value in zip(wanted, desired, strict=True):
                items[key] = merge(items[key], value, key) if key in items else copy.deepcopy(value)
            return list(items.values())
    return copy.deepcopy(desired)


def without(value: Any, paths: Iterable[Path]) -> Any:
    """``value`` less the given fields and what becomes empty by that; ``value`` is not changed."""
    result = copy.deepcopy(value)
    # Deepest first, so that an item goes after its fields.
    for path in sorted(paths, key=len, reverse=True):
        _remove(result, path)
    return result


def _remove(value: Any, path: Path, field: str | Key = "") -> None:
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and step in value:
        if rest:
            _remove(value[step], rest, step)
        if not rest or value[step] in ({}, []):
            del value[step]
    elif isinstance(value, list) and (keys := _item_keys(field, value)) and step in keys:
        index = keys.index(step)
        if rest:
            _remove(value[index], rest, step)
        else:
            del value[index]
