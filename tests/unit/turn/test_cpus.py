"""How many relay threads a container gets."""

from __future__ import annotations

import pytest
from callcluster_turn import cpus


@pytest.mark.parametrize(
    ("cores", "quota", "expected"),
    [
        (64, "max 100000\n", 64),
        (64, "200000 100000\n", 2),
        (64, "150000 100000\n", 2),
        (64, "10000 100000\n", 1),
        (2, "800000 100000\n", 2),
        (4, "", 4),
    ],
)
def test_the_quota_of_the_container_counts(cores: int, quota: str, expected: int) -> None:
    assert cpus.usable(cores, quota) == expected


def test_this_process_has_at_least_one() -> None:
    assert cpus.of_this_process() >= 1
