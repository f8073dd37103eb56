from pathlib import Path

import pytest
from callcluster_common.environment import Environment, SettingError
from callcluster_signaling import settings

SECRET = "x" * 32


def _read(**variables: str) -> settings.Settings:
    return settings.read(Environment({"JWT_SECRET": SECRET, **variables}))


def test_defaults_are_those_of_the_users_table() -> None:
    chosen = _read()
    assert chosen.port == 3000
    assert chosen.redis_url == "redis://localhost:6379"
    assert chosen.log_level == "info"
    assert chosen.cors_origins == ("*",)
    assert not chosen.guest_access
    assert chosen.drain_spread_seconds == 45
    assert chosen.resume_window_seconds == 60
    assert chosen.allowances_per_subject == 4
    assert chosen.allowances_per_guest_address == 32
    assert chosen.web_root.name == "web"


def test_a_missing_secret_is_named() -> None:
    with pytest.raises(SettingError, match="JWT_SECRET is required"):
        settings.read(Environment({}))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("JWT_SECRET", "short-secret", "at least 32 bytes"),
        ("PORT", "http", "PORT must be a whole number"),
        ("PORT", "70000", "PORT must be a whole number"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL must be one of"),
        ("REDIS_URL", "localhost:6379", "REDIS_URL must begin with"),
        ("REDIS_URL", "redis://host:port", "REDIS_URL must look like"),
        ("CORS_ORIGINS", "example.org", "CORS_ORIGINS takes origins"),
        ("CORS_ORIGINS", "https://example.org/page", "CORS_ORIGINS takes origins"),
        ("BYTES_PER_SECOND", "1000", "BYTES_PER_SECOND must be a whole number from 16384"),
        ("MESSAGES_PER_SECOND", "0", "MESSAGES_PER_SECOND must be a whole number from 1"),
        ("SOCKETS_PER_ADDRESS", "-1", "SOCKETS_PER_ADDRESS must be a whole number from 0"),
        ("ALLOWANCES_PER_SUBJECT", "few", "ALLOWANCES_PER_SUBJECT must be a whole number from 0"),
        (
            "ALLOWANCES_PER_GUEST_ADDRESS",
            "-1",
            "ALLOWANCES_PER_GUEST_ADDRESS must be a whole number from 0",
        ),
        ("GUEST_ACCESS", "maybe", "GUEST_ACCESS must be true or false"),
    ],
)
def test_bad_values_get_one_line_that_tells_what_to_write(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        _read(**{name: value})
    assert "\n" not in str(caught.value)


def test_no_secret_shows_when_settings_are_printed() -> None:
    text = repr(_read(REDIS_URL="redis://user:hunter2@db/0", ROOM_SALT="pinch-of-salt"))
    assert SECRET not in text
    assert "hunter2" not in text
    assert "pinch" not in text


def test_rooms_names_differ_between_processes_without_a_salt() -> None:
    assert _read().room_salt != _read().room_salt


def test_several_origins_and_a_web_root() -> None:
    chosen = _read(CORS_ORIGINS="https://a.example, https://b.example", WEB_ROOT="/srv/web")
    assert chosen.cors_origins == ("https://a.example", "https://b.example")
    assert chosen.web_root == Path("/srv/web")
