"""The tables of `callcluster get`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from callcluster_operator.cli.columns import COLUMNS, age, table

CRDS = Path(__file__).parents[4] / "crds"
NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("plural", ["callclusters", "rooms"])
def test_the_columns_are_those_of_the_crd(plural: str) -> None:
    crd = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
    wanted = [
        (column["name"], column["jsonPath"], column.get("priority", 0) > 0)
        for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]
    ]
    assert [(column.name, column.path, column.wide) for column in COLUMNS[plural]] == wanted


def test_a_table_shows_what_is_there_and_leaves_the_rest_empty() -> None:
    objects = [
        {
            "metadata": {"name": "stand-up", "creationTimestamp": "2026-01-01T11:00:00Z"},
            "status": {
                "participants": 2,
                "conditions": [
                    {"type": "Finished", "status": "False", "reason": "Active"},
                    {"type": "Ready", "status": "True", "reason": "Available"},
                ],
            },
        },
        {"metadata": {"name": "x", "creationTimestamp": "2026-01-01T11:59:58Z"}},
    ]
    assert table("rooms", objects, wide=False, now=NOW).splitlines() == [
        "NAME       READY   REASON      PARTICIPANTS   AGE",
        "stand-up   True    Available   2              60m",
        "x                                             2s",
    ]
    assert "CLUSTER" in table("rooms", objects, wide=True, now=NOW).splitlines()[0]


@pytest.mark.parametrize(
    ("since", "text"),
    [
        ("2026-01-01T12:00:00Z", "0s"),
        ("2026-01-01T11:58:01Z", "119s"),
        ("2026-01-01T11:58:00Z", "2m"),
        ("2026-01-01T09:00:00Z", "3h"),
        ("2025-12-30T12:00:00Z", "2d"),
        ("2026-01-01T12:00:09Z", "0s"),
    ],
)
def test_an_age_is_short(since: str, text: str) -> None:
    assert age(since, NOW) == text
