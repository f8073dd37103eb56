import re

from callcluster_common import redis_keys


def test_all_names_of_a_room_share_one_tag_of_64() -> None:
    tags = set()
    for number in range(2_000):
        keys = redis_keys.room(f"room-{number}").keys
        found = {re.search(r"\{(p\d+)\}", key).group(1) for key in keys}  # type: ignore[union-attr]
        assert len(found) == 1
        tags |= found
    assert tags == {f"p{n}" for n in range(64)}


def test_no_name_shows_the_rooms_id() -> None:
    keys = redis_keys.room("salary-review")
    assert not any("salary" in key for key in keys.keys)
    assert redis_keys.room("salary-review") == keys
    assert redis_keys.room("salary-revieW").name != keys.name
