import re

from callcluster_common.room_names import room_key
from hypothesis import given
from hypothesis import strategies as st

room_ids = st.text("abcXYZ019._~-", min_size=1, max_size=128)


@given(st.binary(min_size=16), room_ids)
def test_a_room_key_can_name_a_kubernetes_object(salt: bytes, room_id: str) -> None:
    assert re.fullmatch(r"r-[a-z2-7]{20}", room_key(salt, room_id))


@given(room_ids, room_ids)
def test_rooms_are_told_apart_and_never_named(one: str, other: str) -> None:
    salt = b"salt" * 8
    assert (room_key(salt, one) == room_key(salt, other)) == (one == other)


def test_another_installation_has_other_keys() -> None:
    assert room_key(b"a" * 32, "standup") != room_key(b"b" * 32, "standup")
