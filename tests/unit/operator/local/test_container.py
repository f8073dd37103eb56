"""What a container runs here: its variables and arguments, with places put right."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from callcluster_operator.local.container import Places, command, mounts_of, only_container
from callcluster_operator.local.volumes import NotReadyError, UnsupportedError
from callcluster_operator.objects import CONFIG_MAP, SECRET, Kind, Object

NOWHERE = Places({}, {})


def pod(**container: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "app-1",
            "namespace": "calls",
            "labels": {"tier": "a"},
            "annotations": {"address": "none"},
        },
        "spec": {"nodeName": "here", "containers": [{"name": "main", "image": "app", **container}]},
    }


def objects(kind: Kind, name: str) -> Object | None:
    if (kind, name) == (SECRET, "keys"):
        return {"kind": "Secret", "data": {"token": base64.b64encode(b"t0ken").decode()}}
    if (kind, name) == (SECRET, "binary"):
        return {"kind": "Secret", "data": {"token": base64.b64encode(b"\xff").decode()}}
    if (kind, name) == (CONFIG_MAP, "config"):
        return {"kind": "ConfigMap", "data": {"level": "info"}}
    return None


def resolve(
    env: list[dict[str, Any]], *, args: list[str] | None = None, places: Places = NOWHERE
) -> tuple[tuple[str, ...], dict[str, str]]:
    container: dict[str, Any] = {"env": env} | ({"args": args} if args else {})
    found = command(pod(**container), ("app",), base={"PATH": "/bin"}, places=places, lookup=objects)
    return found.argv, dict(found.env)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ({"value": "text"}, "text"),
        ({}, ""),
        ({"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, "app-1"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, "127.0.0.1"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}, "127.0.0.1"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}, "here"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['tier']"}}}, "a"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['address']"}}}, "none"),
        ({"valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}, "t0ken"),
        ({"valueFrom": {"configMapKeyRef": {"name": "config", "key": "level"}}}, "info"),
    ],
)
def test_a_variable_has_the_value_that_its_source_has(source: dict[str, Any], value: str) -> None:
    _, env = resolve([{"name": "X", **source}])
    assert env == {"PATH": "/bin", "X": value}


def test_an_optional_key_that_is_missing_leaves_the_variable_out() -> None:
    reference = {"name": "keys", "key": "other", "optional": True}
    _, env = resolve([{"name": "X", "valueFrom": {"secretKeyRef": reference}}])
    assert env == {"PATH": "/bin"}


@pytest.mark.parametrize(("name", "key"), [("absent", "token"), ("keys", "absent")])
def test_a_secret_or_key_that_is_missing_is_waited_for_by_name(name: str, key: str) -> None:
    with pytest.raises(NotReadyError, match=f"waits for {key} in Secret {name}"):
        resolve([{"name": "X", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}])


def test_a_field_that_only_a_cluster_knows_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="limits"):
        resolve([{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "limits.cpu"}}}])


def test_a_variable_of_bytes_that_are_no_text_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="token in Secret binary is not text in UTF-8"):
        resolve([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "binary", "key": "token"}}}])


def test_earlier_variables_can_be_used_in_later_ones_and_in_arguments() -> None:
    argv, env = resolve(
        [
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)-$(UNKNOWN)-$$(A)"},
        ],
        args=["--b", "$(B)"],
    )
    assert env["B"] == "1-$(UNKNOWN)-$(A)"
    assert argv == ("app", "--b", "1-$(UNKNOWN)-$(A)")


def test_paths_below_a_mount_lead_to_its_place_here_and_others_stay() -> None:
    places = Places({"/etc/app": Path("/tmp/x")}, {})
    assert places.put_right("/etc/app/keys.json") == "/tmp/x/keys.json"
    assert places.put_right("/etc/app") == "/tmp/x"
    assert places.put_right("/etc/apple/keys.json") == "/etc/apple/keys.json"
    assert places.put_right("see /etc/app/keys.json") == "see /etc/app/keys.json"


def test_an_address_of_a_service_leads_to_its_place_here_and_longer_ports_stay() -> None:
    places = Places({}, {"127.0.0.1:6379": "127.0.0.1:4242"})
    assert places.put_right("redis://:pw@127.0.0.1:6379/0") == "redis://:pw@127.0.0.1:4242/0"
    assert places.put_right("redis://127.0.0.1:63790/0") == "redis://127.0.0.1:63790/0"
    assert places.put_right("redis://1127.0.0.1:6379/0") == "redis://1127.0.0.1:6379/0"


def test_mounts_lie_in_the_pods_own_directory() -> None:
    mounted = pod(volumeMounts=[{"name": "keys", "mountPath": "/etc/app/"}])
    assert mounts_of(mounted, Path("/tmp/pod")) == {"/etc/app": Path("/tmp/pod/volumes/keys")}


def test_a_pod_with_two_containers_is_refused() -> None:
    two = pod()
    two["spec"]["containers"] *= 2
    with pytest.raises(UnsupportedError, match="several containers"):
        only_container(two)


def test_a_command_shows_no_value_of_its_environment() -> None:
    found = command(
        pod(env=[{"name": "KEY", "value": "s3cret"}]), ("app",), base={}, places=NOWHERE, lookup=objects
    )
    assert "s3cret" not in repr(found)
