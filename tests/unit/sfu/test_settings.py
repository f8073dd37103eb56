from pathlib import Path

import pytest
from callcluster_common.environment import Environment, SettingError
from callcluster_common.room_names import room_key
from callcluster_sfu import settings

REDIS = "redis://:a-password@redis.example:6379/0"
LEAST = {"REDIS_URL": REDIS, "SFU_ADDRESSES": "192.0.2.1"}


def read(**variables: str) -> settings.Settings:
    return settings.read(Environment({**LEAST, **variables}))


def test_an_address_and_a_redis_are_enough() -> None:
    chosen = read()
    assert chosen.addresses == ("192.0.2.1",)
    assert (chosen.listen_host, chosen.port) == ("0.0.0.0", 7882)
    assert REDIS not in repr(chosen)


def test_an_sfu_may_be_told_the_one_room_that_it_serves() -> None:
    key = room_key(b"salt", "standup")
    assert read(SFU_ROOM=key).own_room == key
    assert read().own_room == ""


def test_both_families_are_announced_in_their_order() -> None:
    chosen = read(SFU_ADDRESSES="2001:db8::1, 192.0.2.1", SFU_HOST="::")
    assert chosen.addresses == ("2001:db8::1", "192.0.2.1")


def test_a_file_that_is_to_tell_the_addresses_stands_for_them(tmp_path: Path) -> None:
    chosen = read(SFU_ADDRESSES="", SFU_ADDRESSES_FILE=str(tmp_path / "addresses"))
    assert (chosen.addresses, chosen.addresses_file) == ((), tmp_path / "addresses")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"SFU_ADDRESSES_FILE": "/addresses"}, "remove one of them"),
        ({"SFU_ADDRESSES": ""}, "SFU_ADDRESSES is required"),
        ({"SFU_ADDRESSES": "sfu.example"}, "SFU_ADDRESSES takes IP addresses"),
        ({"SFU_ADDRESSES": "0.0.0.0"}, "that clients can reach"),
        ({"SFU_ADDRESSES": "2001:db8::1"}, "set SFU_HOST to ::"),
        ({"SFU_HOST": "localhost"}, "SFU_HOST takes IP addresses"),
        ({"SFU_PORT": "70000"}, "SFU_PORT must be a whole number"),
        ({"REDIS_URL": ""}, "REDIS_URL is required"),
        ({"REDIS_URL": "memory://"}, "REDIS_URL must look like"),
        ({"REDIS_URL": "redis://:a-password@host:port"}, "REDIS_URL must look like"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL must be one of"),
        ({"MAX_PARTICIPANTS": "0"}, "MAX_PARTICIPANTS must be"),
        ({"SFU_ROOM": "standup"}, "SFU_ROOM must be the opaque name of a room"),
        ({"SFU_ROOM": "r-" + "a" * 21}, "SFU_ROOM must be the opaque name of a room"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_in_one_line(variables: dict[str, str], says: str) -> None:
    with pytest.raises(SettingError) as caught:
        read(**variables)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert "a-password" not in message
