"""The API reference follows the schemas."""

from __future__ import annotations

from callcluster_operator.api.conditions import REASONS
from callcluster_operator.tools import apidocs


def test_the_reference_is_up_to_date() -> None:
    assert apidocs.main(["--check"]) == 0, "run python -m callcluster_operator.tools.apidocs"


def test_the_reference_names_every_field_rule_and_reason() -> None:
    page = apidocs.render()
    assert "| `turn.credentials.rotation.overlapSeconds` | integer, 12 to 2592000 | `7200` |" in page
    assert "- `spec.clusterRef`" not in page, "rules without a field path stand at their object"
    assert "clusterRef is immutable: make a new Room" in page
    assert all(f"| `{reason}` |" in page for reason in REASONS)
