import re

import pytest
from callcluster_common import redis_keys


def test_all_names_of_a_room_share_one_tag_of_64() -> None:
    tags = set()
    for number in range(2_000):
        room = redis_keys.room(f"room-{number}")
        found = {re.search(r"\{(p\d+)\}", key).group(1) for key in (*room.keys, room.seat)}  # type: ignore[union-attr]
        assert len(found) == 1
        tags |= found
    assert tags == {f"p{n}" for n in range(64)}


def test_no_name_shows_the_rooms_id() -> None:
    keys = redis_keys.room("salary-review")
    assert not any("salary" in key for key in keys.keys)
    assert redis_keys.room("salary-review") == keys
    assert redis_keys.room("salary-revieW").name != keys.name


def test_a_rooms_names_follow_from_its_opaque_name() -> None:
    keys = redis_keys.room("salary-review")
    assert redis_keys.named(keys.name) == keys


@pytest.mark.parametrize("name", ["", "r", "A" * 26, "a" * 27, "a" * 25 + "}", "a" * 26 + "\n"])
def test_what_is_no_opaque_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="26 characters"):
        redis_keys.named(name)
