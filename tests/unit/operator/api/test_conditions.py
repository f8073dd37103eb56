"""Conditions keep the time of their last change."""

from __future__ import annotations

import ast

import pytest
from callcluster_operator.api import conditions
from callcluster_operator.api.conditions import REASONS, Condition, merge
from callcluster_operator.api.times import precise, seconds_of, timestamp
from kit.apiserver import ROOT

READY = Condition("Ready", "True", "Available", "members can place calls")


def test_the_transition_time_stays_while_the_status_does() -> None:
    first = merge([], [READY], generation=1, now=1000)
    again = merge(first, [Condition("Ready", "True", "Active", "other words")], generation=2, now=2000)
    assert again[0]["lastTransitionTime"] == first[0]["lastTransitionTime"] == timestamp(1000)
    assert (again[0]["observedGeneration"], again[0]["reason"]) == (2, "Active")


def test_the_transition_time_moves_with_the_status() -> None:
    first = merge([], [READY], generation=1, now=1000)
    changed = merge(first, [Condition("Ready", "False", "PodsNotReady", "gone")], generation=1, now=2000)
    assert changed[0]["lastTransitionTime"] == timestamp(2000)


def test_a_reason_that_is_not_documented_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        Condition("Ready", "False", "Whatever", "")


def test_every_documented_reason_is_used() -> None:
    used: set[str] = set()
    for path in (ROOT / "operator" / "callcluster_operator").rglob("*.py"):
        if path.name == "conditions.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.add(node.value)
    assert set(REASONS) <= used


def test_every_condition_is_documented() -> None:
    documented = {name for meanings in conditions.CONDITIONS.values() for name in meanings}
    constants = {
        value for name, value in vars(conditions).items() if name.isupper() and isinstance(value, str)
    }
    assert constants == documented


@pytest.mark.parametrize("seconds", [0.0, 1_800_000_000.123, 1_800_000_000.999])
def test_times_come_back_as_they_were_written(seconds: float) -> None:
    assert seconds_of(precise(seconds)) == pytest.approx(seconds, abs=0.0011)
    assert seconds_of(timestamp(seconds)) == int(seconds)


@pytest.mark.parametrize("text", [None, "", "yesterday", 3, "2026-01-01T00:00:00"])
def test_what_is_no_time_is_none(text: object) -> None:
    assert seconds_of(text) is None
