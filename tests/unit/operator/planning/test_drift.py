"""What counts as a difference between an object and its manifest."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from callcluster_operator.planning import names
from callcluster_operator.planning.drift import contains, quantity, stamped


@pytest.mark.parametrize(
    ("live", "desired"),
    [
        ({"a": 1, "b": 2}, {"a": 1}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}),
        ({"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]}, {"env": [{"name": "A"}]}),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/token"}, {"name": "v", "mountPath": "/a"}]},
            {"volumeMounts": [{"name": "v", "mountPath": "/a"}]},
        ),
        ({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}, {"resources": {"limits": {"cpu": 1}}}),
        ({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1024Mi"}}),
        ({"requests": {"cpu": "100m"}}, {"requests": {"cpu": "0.1"}}),
        ({"sizeLimit": "16Mi"}, {"sizeLimit": "16384Ki"}),
        ({"emptyDir": {}}, {"emptyDir": {}}),
    ],
)
def test_what_others_add_or_write_otherwise_is_no_difference(live: Any, desired: Any) -> None:
    assert contains(live, desired)


@pytest.mark.parametrize(
    ("live", "desired"),
    [
        ({"a": 1}, {"a": 2}),
        ({}, {"a": 1}),
        ({"a": 1}, {"a": {"b": 1}}),
        ({"env": [{"name": "A", "value": "2"}]}, {"env": [{"name": "A", "value": "1"}]}),
        ({"args": ["a", "b"]}, {"args": ["a"]}),
        ({"args": ["b", "a"]}, {"args": ["a", "b"]}),
        ({"rules": [{"x": 1}, {"x": 2}]}, {"rules": [{"x": 1}]}),
        ({"value": "1000m"}, {"value": "1"}),
        ({"limits": {"memory": "2Gi"}}, {"limits": {"memory": "1Gi"}}),
        ({"limits": {"memory": "much"}}, {"limits": {"memory": "more"}}),
        ({"emptyDir": None}, {"emptyDir": {}}),
    ],
)
def test_what_we_want_otherwise_is_a_difference(live: Any, desired: Any) -> None:
    assert not contains(live, desired)


def test_a_field_that_is_wanted_no_more_changes_the_hash() -> None:
    one = stamped({"metadata": {"name": "a"}, "spec": {"x": 1, "y": 2}})
    other = stamped({"metadata": {"name": "a"}, "spec": {"x": 1}})
    assert contains(one["spec"], other["spec"])
    assert not contains(one, other)


def test_stamping_changes_neither_the_manifest_nor_its_annotations() -> None:
    manifest = {"metadata": {"name": "a", "annotations": {"kept": "yes"}}}
    marked = stamped(manifest)
    assert manifest == {"metadata": {"name": "a", "annotations": {"kept": "yes"}}}
    assert set(marked["metadata"]["annotations"]) == {"kept", names.APPLIED_HASH}


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("250m", "0.25"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("2Gi", str(2 * 1024**3)),
        ("1e3", "1000"),
        (3, "3"),
    ],
)
def test_quantities_are_read(text: object, amount: str) -> None:
    assert quantity(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "much", "1x", None])
def test_what_is_no_quantity_is_none(text: object) -> None:
    assert quantity(text) is None
