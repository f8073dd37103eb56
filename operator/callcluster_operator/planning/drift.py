"""Whether an object still is what we want it to be.

Server-side apply answers that, too, but each question is a write request. So a manifest carries its own
hash, and is applied only if the hash on the live object differs or a field of it does.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

from callcluster_operator.objects import Object
from callcluster_operator.planning import names

_LIST_KEYS = ("mountPath", "uid", "name")
"""Fields by which list items are told apart; mounts repeat their names, so the path comes first."""
_QUANTITY_FIELDS = frozenset({"requests", "limits", "sizeLimit"})
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    **{f"{letter}i": Decimal(1024**power) for power, letter in enumerate("KMGTPE", start=1)},
}


def digest(data: Any) -> str:
    """16 hex digits that tell JSON data apart."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stamped(manifest: Object) -> Object:
    """The manifest with its hash as an annotation; ``manifest`` is not changed."""
    mark = {names.APPLIED_HASH: digest(manifest)}
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), **mark}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def contains(live: Any, desired: Any, field: str = "") -> bool:
    """Whether ``live`` says all that ``desired`` says. What others added to it does not count.

    Args:
        live: an object, or part of one.
        desired: the same part of the manifest.
        field: name of the part; amounts are compared by value, since the API server rewrites them.
    """
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(
            key in live and contains(live[key], value, field if field in _QUANTITY_FIELDS else key)
            for key, value in desired.items()
        )
    if isinstance(desired, list):
        return isinstance(live, list) and _contains_list(live, desired)
    if live == desired:
        return True
    return field in _QUANTITY_FIELDS and quantity(live) == quantity(desired) is not None


def _contains_list(live: list[Any], desired: list[Any]) -> bool:
    for key in _LIST_KEYS:
        if all(isinstance(item, dict) and key in item for item in desired):
            found = {item.get(key): item for item in live if isinstance(item, dict)}
            return all(item[key] in found and contains(found[item[key]], item) for item in desired)
    return len(live) == len(desired) and all(map(contains, live, desired))


def quantity(value: Any) -> Decimal | None:
    """The amount that a Kubernetes quantity stands for; ``None`` where it is none."""
    text = str(value)
    number = text.rstrip("numkKMGTPEi")
    try:
        return Decimal(number) * _SUFFIXES[text[len(number) :]]
    except (ArithmeticError, KeyError):
        return None
