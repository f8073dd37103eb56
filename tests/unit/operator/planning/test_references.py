"""Secrets that the spec names and that somebody else has to make."""

from __future__ import annotations

from typing import Any

import pytest
from callcluster_operator.objects import POD, SECRET, Ref
from callcluster_operator.planning import names
from kit.plan_executor import World
from kit.plan_objects import NAMESPACE, callcluster


def secret(name: str, *keys: str) -> dict[str, Any]:
    data = dict.fromkeys(keys, "YQ==")
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def stuck(world: World) -> None:
    """No pod has become ready yet."""
    world.pass_over("cc")
    world.pass_over("cc")


SPECS: dict[str, tuple[dict[str, Any], str, str]] = {
    "jwt": ({"signaling": {"auth": {"jwtSecretRef": {"name": "mine"}}}}, "SignalingAvailable", "secret"),
    "redis": (
        {"redis": {"mode": "External", "urlSecretRef": {"name": "mine"}}},
        "SignalingAvailable",
        "url",
    ),
    "tls": ({"tls": {"secretRef": {"name": "mine"}}}, "TURNAvailable", "tls.crt"),
}


@pytest.mark.parametrize("case", SPECS)
def test_a_secret_that_is_missing_or_lacks_a_key_is_named_until_it_is_there(case: str) -> None:
    spec, kind, key = SPECS[case]
    world = World()
    world.put(callcluster("cc", **spec))
    stuck(world)
    told = world.condition("cc", kind)
    assert (told["status"], told["reason"]) == ("False", "SecretMissing")
    assert told["message"].startswith("there is no Secret mine, which ")
    assert told["message"].endswith(": make it")
    assert world.condition("cc", "Progressing")["reason"] == "SecretMissing"

    world.put(secret("mine", "another"))
    stuck(world)
    assert world.condition("cc", kind)["message"].endswith(f"has no {key}: add it")

    world.put(secret("mine", "secret", "url", "tls.crt", "tls.key"))
    world.settle("cc")
    assert world.condition("cc", "Ready")["status"] == "True"


def test_a_secret_that_goes_later_is_not_told_while_everything_runs() -> None:
    world = World()
    world.put(secret("mine", "secret"))
    world.put(callcluster("cc", signaling={"auth": {"jwtSecretRef": {"name": "mine"}}}))
    world.settle("cc")
    world.objects.pop(Ref(SECRET, NAMESPACE, "mine"))
    world.settle("cc")
    assert world.condition("cc", "SignalingAvailable")["status"] == "True"
    assert world.condition("cc", "Progressing")["reason"] == "AsWanted"
    assert world.of_kind(POD, names.SIGNALING)
