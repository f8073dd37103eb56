from typing import Any, get_args

import msgspec
import pytest
from callcluster_common.messages import client, types

VALUES: list[tuple[Any, str]] = [
    (types.Sid, "s" * 16),
    (types.RoomId, "room-1"),
    (types.ConnectionId, "c" * 16),
    (types.Key32, "k" * 43),
    (types.Signature, "s" * 86),
    (types.Sealed, "sealed"),
    (client.KeyEntry.__annotations__ and msgspec.structs.fields(client.KeyEntry)[1].type, "body"),
]


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_a_value_is_taken_whole_and_with_nothing_around_it(kind: Any, value: str) -> None:
    assert msgspec.convert(value, kind) == value
    for bent in (value + "\n", "\n" + value, value + "\r", value + " ", value + "\x00"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(bent, kind)


def test_no_pattern_of_a_frame_lets_a_line_feed_follow() -> None:
    schemas, components = msgspec.json.schema_components(get_args(client.ClientFrame))
    patterns = _patterns([*schemas, components])
    assert len(patterns) > 10
    assert all(pattern.endswith(r"$(?!\n)") for pattern in patterns)


def _patterns(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
        return own + [found for value in schema.values() for found in _patterns(value)]
    if isinstance(schema, list):
        return [found for value in schema for found in _patterns(value)]
    return []
