"""The operator's settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from callcluster_common.environment import SettingError
from callcluster_operator.settings import from_env

LEAST = {
    "SIGNALING_IMAGE": "signaling:1",
    "TURN_IMAGE": "turn:1",
    "REDIS_IMAGE": "redis:7",
    "SFU_IMAGE": "sfu:1",
    "POD_NAME": "operator-0",
    "LEASE_NAMESPACE": "system",
}


def test_the_least_settings_look_after_all_namespaces() -> None:
    settings = from_env(LEAST)
    assert settings.namespaces == ()
    assert settings.platform.signaling_image == "signaling:1"
    assert settings.kubeconfig is None
    assert (settings.lease_name, settings.health_port) == ("callcluster-operator", 8080)


def test_namespaces_are_a_list() -> None:
    assert from_env({**LEAST, "OPERATOR_NAMESPACES": "a, b c"}).namespaces == ("a", "b", "c")


def test_a_restarted_container_is_another_candidate() -> None:
    one, two = from_env(LEAST).identity, from_env(LEAST).identity
    assert one != two
    assert one.startswith("operator-0-")


def test_a_kubeconfig_is_a_path() -> None:
    assert from_env({**LEAST, "KUBECONFIG": "/tmp/config"}).kubeconfig == Path("/tmp/config")


@pytest.mark.parametrize("name", LEAST)
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name} is required"):
        from_env({key: value for key, value in LEAST.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"), [("LOG_LEVEL", "loud"), ("HEALTH_PORT", "http"), ("HEALTH_PORT", "70000")]
)
def test_an_unusable_setting_is_named_with_what_is_wanted(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"{name} must be"):
        from_env({**LEAST, name: value})


def test_the_process_says_in_one_line_what_is_missing() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "callcluster_operator"], env={}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr == "callcluster-operator: SIGNALING_IMAGE is required\n"


def test_the_process_says_in_one_line_that_there_is_no_api_server() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "callcluster_operator"],
        env={**LEAST, "KUBECONFIG": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stdout.count("\n") == 1
    assert "no way to an API server" in run.stdout
